// SPDX-License-Identifier: Apache-2.0
//
// The closed-loop load of the accuracy bench:
//
//   load PORT CLIENTS TOTAL ROUTES TOKENS THINK_MS SEED PHASE
//
// CLIENTS keep-alive connections send TOTAL requests together: GET /r1 .. /rROUTES, evenly, with
// TOKENS=1 followed by an id out of 300, some much more frequent than others. Each carries its truth:
// `x-truth-id: spantruth-` and eight hex digits, PHASE first, then client and number. After each answer a
// client thinks for THINK_MS on average. Prints one line of JSON.
#include <cmath>
#include <memory>
#include <random>

#include "tests/accuracy/event_loop.h"

namespace spantap::accuracy {
namespace {

constexpr uint64_t kPatienceNs = 90'000'000'000;
constexpr int kIds = 300;

struct Options {
  int port, clients, total, routes, tokens;
  double think_ms;
  uint64_t seed;
  int phase;
};

struct Totals {
  int running = 0;
  int ok = 0, bad = 0;
  std::vector<double> latencies_ms;
};

class Client {
 public:
  Client(EventLoop& loop, const Options& options, int index, Totals& totals)
      : loop_(loop), options_(options), index_(index), totals_(totals), random_(options.seed * 1000 + index) {
    for (int i = 0; i < kIds; ++i) weights_.push_back(std::pow(3.0 + i, -1.2));
    ids_ = std::discrete_distribution<int>(weights_.begin(), weights_.end());
    left_ = options.total / options.clients;
    ++totals_.running;
    Think();
  }

 private:
  void Think() {
    if (left_ == 0) {
      if (fd_ >= 0) loop_.Close(fd_);
      if (--totals_.running == 0) loop_.Stop();
      return;
    }
    const double ms = std::exponential_distribution<double>(1 / options_.think_ms)(random_);
    loop_.At(NowNs() + static_cast<uint64_t>(ms * 1e6), [this] { Send(); });
  }

  void Send() {
    if (fd_ < 0) Connect();
    std::string path = "/r" + std::to_string(1 + random_() % options_.routes);
    if (options_.tokens) path += "/" + std::to_string(1000 + ids_(random_));
    char truth[32];
    snprintf(truth, sizeof(truth), "spantruth-%01x%03x%04x", options_.phase & 15, index_ & 0xfff, number_++ & 0xffff);
    --left_;
    sent_at_ = NowNs();
    waiting_ = true;
    WriteAll(fd_, "GET " + path + " HTTP/1.1\r\nHost: shop.example\r\nx-truth-id: " + truth + "\r\n\r\n");
  }

  void Connect() {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(options_.port);
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) Die("connect");
    SetNoDelay(fd_);
    input_.clear();
    loop_.Watch(fd_, [this] { Read(); });
  }

  void Read() {
    const bool open = ReadInto(fd_, &input_);
    const size_t head = input_.find("\r\n\r\n");
    if (waiting_ && head != std::string::npos && input_.size() >= head + 4 + BodyBytes(head)) return Answered(head);
    if (open) return;
    loop_.Close(fd_);
    fd_ = -1;
    if (!waiting_) return;
    waiting_ = false;
    ++totals_.bad;
    Think();
  }

  size_t BodyBytes(size_t head) const {
    std::string text = input_.substr(0, head + 2);
    for (char& c : text) c = tolower(c);
    const size_t at = text.find("\r\ncontent-length:");
    if (at == std::string::npos) return SIZE_MAX / 2;  // never complete: counted when the server closes
    return strtoull(text.c_str() + at + 17, nullptr, 10);
  }

  void Answered(size_t head) {
    const bool good = input_.compare(9, 3, "200") == 0;
    good ? ++totals_.ok : ++totals_.bad;
    totals_.latencies_ms.push_back((NowNs() - sent_at_) / 1e6);
    input_.erase(0, head + 4 + BodyBytes(head));
    waiting_ = false;
    Think();
  }

  EventLoop& loop_;
  const Options& options_;
  const int index_;
  Totals& totals_;
  std::mt19937_64 random_;
  std::vector<double> weights_;
  std::discrete_distribution<int> ids_;
  int left_ = 0;
  int number_ = 0;
  int fd_ = -1;
  bool waiting_ = false;
  uint64_t sent_at_ = 0;
  std::string input_;
};

double Percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(values.size() * share))];
}

}  // namespace
}  // namespace spantap::accuracy

int main(int argc, char** argv) {
  using namespace spantap::accuracy;
  if (argc != 9) {
    fprintf(stderr, "usage: load PORT CLIENTS TOTAL ROUTES TOKENS THINK_MS SEED PHASE\n");
    return 2;
  }
  const Options options = {atoi(argv[1]),
                           atoi(argv[2]),
                           atoi(argv[3]),
                           atoi(argv[4]),
                           atoi(argv[5]),
                           atof(argv[6]),
                           strtoull(argv[7], nullptr, 10),
                           atoi(argv[8])};
  EventLoop loop;
  Totals totals;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < options.clients; ++i) clients.push_back(std::make_unique<Client>(loop, options, i, totals));
  const uint64_t start = NowNs();
  loop.At(start + kPatienceNs, [&] { loop.Stop(); });
  loop.Run();
  const double seconds = (NowNs() - start) / 1e9;
  printf("{\"clients\":%d,\"ok\":%d,\"bad\":%d,\"unfinished\":%d,\"rps\":%.1f,\"p50_ms\":%.2f,\"p99_ms\":%.2f}\n",
         options.clients, totals.ok, totals.bad, totals.running, totals.ok / seconds,
         Percentile(totals.latencies_ms, 0.5), Percentile(totals.latencies_ms, 0.99));
  return totals.bad == 0 && totals.running == 0 ? 0 : 1;
}
