// SPDX-License-Identifier: Apache-2.0
//
// The socket's place in the file system: what is refused, with which words, and what is replaced.
#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fstream>
#include <optional>

#include "agent/handoff/handoff_socket.h"
#include "tests/agent/handoff/scratch_folder.h"

namespace spantap::handoff_test {
namespace {

std::string ErrorOf(const std::string& path) {
  const auto socket = HandoffSocket::Open(path);
  if (socket.ok()) return "";
  CHECK(absl::IsInvalidArgument(socket.status()));
  return std::string(socket.status().message());
}

bool Has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

UniqueFd Bound(const std::string& path, int type, bool listens) {
  UniqueFd fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  if (listens) REQUIRE(listen(fd.get(), 1) == 0);
  return fd;
}

TEST_CASE("hand-off socket: open to all users, gone with its owner", "[handoff]") {
  const ScratchFolder folder;
  const std::string path = folder / "s";
  {
    const auto socket = HandoffSocket::Open(path);
    REQUIRE(socket.ok());
    struct stat found;
    REQUIRE(lstat(path.c_str(), &found) == 0);
    CHECK(S_ISSOCK(found.st_mode));
    CHECK((found.st_mode & 0777) == 0666);
    CHECK(Has(ErrorOf(path), "another process listens there"));
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("hand-off socket: what another has put in its place stays", "[handoff]") {
  const ScratchFolder folder;
  const std::string path = folder / "s";
  {
    const auto socket = HandoffSocket::Open(path);
    REQUIRE(socket.ok());
    std::filesystem::remove(path);
    std::ofstream(path) << "other";
  }
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("hand-off socket: only a socket on which nobody answers is replaced", "[handoff]") {
  const ScratchFolder folder;
  const std::string path = folder / "s";
  Bound(path, SOCK_SEQPACKET, true);  // closed at once: the file stays
  CHECK(std::filesystem::exists(path));
  CHECK(ErrorOf(path).empty());
  Bound(path, SOCK_STREAM, true);
  CHECK(ErrorOf(path).empty());
  for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
    const UniqueFd other = Bound(path, type, true);
    CHECK(Has(ErrorOf(path), "another process listens there"));
    std::filesystem::remove(path);
  }
  std::ofstream(path) << "precious";
  CHECK(Has(ErrorOf(path), "a file that is no socket"));
  CHECK(std::filesystem::file_size(path) == 8);
  std::filesystem::remove(path);
  std::filesystem::create_symlink(folder / "elsewhere", path);
  CHECK(Has(ErrorOf(path), "a file that is no socket"));
}

TEST_CASE("hand-off socket: the folder must be nobody else's", "[handoff]") {
  const ScratchFolder folder;
  const std::string inner = folder / "inner";
  const std::string path = inner + "/s";
  CHECK(Has(ErrorOf(path), inner + ": No such file or directory; make it with mode 0755"));
  std::filesystem::create_directory(inner);
  for (const mode_t mode : {0777, 0775, 01777, 0757}) {
    REQUIRE(chmod(inner.c_str(), mode) == 0);
    CHECK(Has(ErrorOf(path), inner + " can be written by others (mode 0"));
  }
  REQUIRE(chmod(inner.c_str(), 0755) == 0);
  CHECK(ErrorOf(path).empty());
  REQUIRE(chmod(folder.path().c_str(), 0777) == 0);
  CHECK(Has(ErrorOf(path), folder.path() + " can be written by others (mode 0777)"));
  REQUIRE(chmod(folder.path().c_str(), 01777) == 0);
  CHECK(ErrorOf(path).empty());
  std::ofstream(folder / "file") << "x";
  CHECK_FALSE(ErrorOf(folder / "file/s").empty());
  CHECK(Has(ErrorOf(folder / std::string(120, 'x').c_str()), "a path of 1 to 107 bytes"));
  CHECK(Has(ErrorOf(""), "a path of 1 to 107 bytes"));
}

}  // namespace
}  // namespace spantap::handoff_test
