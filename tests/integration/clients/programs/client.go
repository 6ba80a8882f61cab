// Go's net/http.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func transport() *http.Transport {
	made := http.DefaultTransport.(*http.Transport).Clone()
	if path := os.Getenv("CLIENT_SOCKET"); path != "" {
		made.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	if pem := os.Getenv("CLIENT_CERTIFICATE"); pem != "" {
		certificate, err := tls.LoadX509KeyPair(pem, pem)
		if err != nil {
			panic(err)
		}
		roots := x509.NewCertPool()
		ca, _ := os.ReadFile(os.Getenv("CLIENT_CA"))
		roots.AppendCertsFromPEM(ca)
		made.TLSClientConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots}
	}
	return made
}

func send(client *http.Client, method, name string, size int, wait time.Duration) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	body := bytes.NewReader(make([]byte, size))
	request, err := http.NewRequestWithContext(ctx, method, os.Getenv("URL")+"/"+name, body)
	if err != nil {
		return 0, err
	}
	request.Header.Set("X-Request-Id", os.Getenv("LABEL")+"-"+name)
	if shown := os.Getenv("AUTHORIZATION"); shown != "" {
		request.Header.Set("Authorization", shown)
	}
	reply, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer reply.Body.Close()
	io.Copy(io.Discard, reply.Body)
	return reply.StatusCode, nil
}

func main() {
	client := &http.Client{Transport: transport()}
	for _, one := range []struct {
		name, method string
		size         int
		wait         time.Duration
	}{
		{"get", "GET", 0, 30 * time.Second},
		{"post", "POST", 5 << 20, 30 * time.Second},
		{"cancelled", "GET", 0, 3 * time.Second},
		{"refused", "POST", 30 << 20, 30 * time.Second},
	} {
		status, err := send(client, one.method, one.name, one.size, one.wait)
		if err == nil {
			fmt.Println(one.name, status)
		} else if errors.Is(err, context.DeadlineExceeded) {
			fmt.Println(one.name, "DeadlineExceeded")
		} else {
			fmt.Fprintln(os.Stderr, err)
			fmt.Printf("%s %T\n", one.name, errors.Unwrap(err))
		}
	}
}
