// SPDX-License-Identifier: Apache-2.0
// The routes of the Java servers. CLIENT=async: java.net.http.HttpClient, sendAsync for parallel calls;
// otherwise HttpURLConnection and a thread pool. POOL > 0: at most so many calls to a backend at once, in turn.
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.LockSupport;

final class Routes {
  private static final int A = 0, B = 1, C = 2;
  private static final String[] PATHS = {"/stock", "/reviews", "/price"};
  private final String[] backends = System.getenv("BACKENDS").split(",");
  private final boolean async = "async".equals(System.getenv("CLIENT"));
  private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private final ExecutorService parallel = Executors.newFixedThreadPool(256, Routes::daemon);
  private final ExecutorService workers = Executors.newFixedThreadPool(4, Routes::daemon);
  private final Semaphore[] slots = new Semaphore[3];
  private final Random random = new Random(Long.parseLong(System.getenv("SEED")));

  Routes() {
    int pool = Integer.parseInt(System.getenv("POOL"));
    for (int i = 0; i < slots.length; i++) slots[i] = new Semaphore(pool > 0 ? pool : 1 << 20, true);
  }

  private static Thread daemon(Runnable run) {
    Thread thread = new Thread(run);
    thread.setDaemon(true);
    return thread;
  }

  private final class Calls {
    final String token, truth;

    Calls(String token, String truth) {
      this.token = token;
      this.truth = truth;
    }

    URI uri(int which) {
      String id = token.isEmpty() || which == C ? "" : "/" + token;
      return URI.create("http://127.0.0.1:" + backends[which] + PATHS[which] + id);
    }

    HttpRequest request(int which) {
      return HttpRequest.newBuilder(uri(which)).header("x-truth-id", truth).build();
    }

    void call(int which) throws Exception {
      if (async) {
        client.send(request(which), HttpResponse.BodyHandlers.ofString());
        return;
      }
      slots[which].acquire();
      try {
        HttpURLConnection connection = (HttpURLConnection) uri(which).toURL().openConnection();
        connection.setRequestProperty("x-truth-id", truth);
        try (InputStream body = connection.getInputStream()) {
          body.readAllBytes();
        }
      } finally {
        slots[which].release();
      }
    }

    void together(int... all) throws Exception {
      List<Future<?>> futures = new ArrayList<>();
      for (int which : all) {
        if (async) futures.add(client.sendAsync(request(which), HttpResponse.BodyHandlers.ofString()));
        else futures.add(parallel.submit(() -> { call(which); return null; }));
      }
      for (Future<?> future : futures) future.get();
    }

    void queued(int... all) throws Exception {
      workers.submit(() -> { for (int which : all) call(which); return null; }).get();
    }
  }

  private void sleep(double low, double high) {
    LockSupport.parkNanos((long) ((low + random.nextDouble() * (high - low)) * 1e6));
  }

  private static void work(double ms) {
    long end = System.nanoTime() + (long) (ms * 1e6);
    while (System.nanoTime() < end) Thread.onSpinWait();
  }

  void serve(String path, String truth) throws Exception {
    String[] part = path.split("/");
    Calls calls = new Calls(part.length > 2 ? part[2] : "", truth);
    switch (part[1]) {
      case "r1": calls.call(A); calls.together(B, C); break;
      case "r2": calls.call(A); calls.call(B); calls.call(C); break;
      case "r3": sleep(1, 6); calls.call(B); sleep(0, 5); calls.call(C); break;
      case "r4": sleep(0, 3); break;
      case "r5": calls.together(B, B, B); break;
      case "r6": calls.call(A); if (random.nextDouble() < .5) calls.call(C); sleep(1, 3); break;
      case "r7": work(1); calls.call(B); work(0.5); calls.call(C); break;
      case "r8": calls.queued(A, B); break;
      default: throw new IllegalArgumentException(path);
    }
  }
}
