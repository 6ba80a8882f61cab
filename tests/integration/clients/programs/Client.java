// Java's java.net.http. Proxies and trust come by system properties.
import java.io.FileInputStream;
import java.net.Authenticator;
import java.net.PasswordAuthentication;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.KeyStore;
import java.time.Duration;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Client {
  record Exercise(String name, String method, int size, int limit) {}

  static KeyStore store(String file) throws Exception {
    var store = KeyStore.getInstance("PKCS12");
    try (var input = new FileInputStream(file)) {
      store.load(input, "changeit".toCharArray());
    }
    return store;
  }

  static SSLContext context(String own, String trusted) throws Exception {
    var keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    keys.init(store(own), "changeit".toCharArray());
    var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store(trusted));
    var context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    return context;
  }

  static HttpClient client() throws Exception {
    var builder = HttpClient.newBuilder().proxy(ProxySelector.getDefault());
    if (System.getProperty("proxy.token") != null)
      builder.authenticator(new Authenticator() {
        @Override protected PasswordAuthentication getPasswordAuthentication() {
          return new PasswordAuthentication("any", System.getProperty("proxy.token").toCharArray());
        }
      });
    if (System.getProperty("client.keys") != null)
      builder.sslContext(context(System.getProperty("client.keys"), System.getProperty("client.trust")));
    return builder.build();
  }

  public static void main(String[] arguments) throws Exception {
    var client = client();
    for (var one : new Exercise[] {
        new Exercise("get", "GET", 0, 30000), new Exercise("post", "POST", 5 << 20, 30000),
        new Exercise("cancelled", "GET", 0, 3000), new Exercise("refused", "POST", 30 << 20, 30000)}) {
      var body = one.size() == 0 ? BodyPublishers.noBody() : BodyPublishers.ofByteArray(new byte[one.size()]);
      var request = HttpRequest.newBuilder(URI.create(System.getenv("URL") + "/" + one.name()))
          .method(one.method(), body).timeout(Duration.ofMillis(one.limit()))
          .header("X-Request-Id", System.getenv("LABEL") + "-" + one.name());
      if (!System.getenv("AUTHORIZATION").isEmpty())
        request.header("Authorization", System.getenv("AUTHORIZATION"));
      try {
        var reply = client.send(request.build(), BodyHandlers.discarding());
        System.out.println(one.name() + " " + reply.statusCode());
      } catch (Exception error) {
        System.out.println(one.name() + " " + error.getClass().getSimpleName());
        error.printStackTrace();
      }
    }
    System.exit(0);
  }
}
