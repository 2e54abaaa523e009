// SPDX-License-Identifier: Apache-2.0
// Java: the JDK's own com.sun.net.httpserver with a pool of 160 threads.
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

final class JdkServer {
  public static void main(String[] args) throws Exception {
    int port = Integer.parseInt(System.getenv("LISTEN_PORT"));
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 1024);
    server.setExecutor(Executors.newFixedThreadPool(160));
    Routes routes = new Routes();
    server.createContext("/", exchange -> {
      byte[] body = "done".getBytes();
      int status = 200;
      try {
        routes.serve(exchange.getRequestURI().getPath(), exchange.getRequestHeaders().getFirst("x-truth-id"));
      } catch (Exception failure) {
        failure.printStackTrace();
        status = 500;
      }
      exchange.sendResponseHeaders(status, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    server.start();
  }
}
