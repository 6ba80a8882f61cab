# Ruby's Net::HTTP.
require "net/http"

uri = URI(ENV["URL"])
http = Net::HTTP.new(uri.host, uri.port)
http.use_ssl = uri.scheme == "https"
if (pem = ENV["CLIENT_CERTIFICATE"]) && !pem.empty?
  http.cert = OpenSSL::X509::Certificate.new(File.read(pem))
  http.key = OpenSSL::PKey.read(File.read(pem))
  http.ca_file = ENV["CLIENT_CA"]
end

[["get", "GET", 0, 30], ["post", "POST", 5 << 20, 30],
 ["cancelled", "GET", 0, 3], ["refused", "POST", 30 << 20, 30]].each do |name, method, size, wait|
  headers = { "X-Request-Id" => "#{ENV["LABEL"]}-#{name}" }
  headers["Authorization"] = ENV["AUTHORIZATION"] unless ENV["AUTHORIZATION"].empty?
  http.read_timeout = wait
  begin
    body = size.zero? ? nil : "\0" * size
    puts "#{name} #{http.send_request(method, "/#{name}", body, headers).code}"
  rescue StandardError => error
    puts "#{name} #{error.class}"
  end
end
