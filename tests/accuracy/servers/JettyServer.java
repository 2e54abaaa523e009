// SPDX-License-Identifier: Apache-2.0
// Java servlet in Jetty: its own selectors and thread pool, blocking calls.
import java.io.IOException;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;
import org.eclipse.jetty.util.thread.QueuedThreadPool;

final class JettyServer {
  private static final class Shop extends HttpServlet {
    private final transient Routes routes = new Routes();

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
      try {
        routes.serve(request.getRequestURI(), request.getHeader("x-truth-id"));
      } catch (Exception failure) {
        throw new IOException(failure);
      }
      response.setContentLength(4);
      response.getOutputStream().write("done".getBytes());
    }
  }

  public static void main(String[] args) throws Exception {
    Server server = new Server(new QueuedThreadPool(180));
    ServerConnector connector = new ServerConnector(server);
    connector.setHost("127.0.0.1");
    connector.setPort(Integer.parseInt(System.getenv("LISTEN_PORT")));
    connector.setAcceptQueueSize(1024);
    connector.setIdleTimeout(300_000);
    server.addConnector(connector);
    ServletContextHandler context = new ServletContextHandler();
    context.addServlet(new ServletHolder(new Shop()), "/*");
    server.setHandler(context);
    server.start();
    server.join();
  }
}
