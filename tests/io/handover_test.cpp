// What two processes share: packets with a descriptor, and the locks that say who serves.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "proxy/io/packet_socket.h"
#include "proxy/io/serving_lock.h"

using namespace pgsidecar::io;
using namespace std::chrono_literals;

namespace {

class folder {
  public:
    folder() {
        char name[] = "/tmp/pgsidecar-io-XXXXXX";
        path_ = ::mkdtemp(name);
    }
    ~folder() {
        for (const char* file : {"/s", "/l"}) ::unlink((path_ + file).c_str());
        ::rmdir(path_.c_str());
    }
    [[nodiscard]] std::string operator/(const char* name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

}  // namespace

TEST_CASE("packets: they keep apart, and a descriptor comes with one") {
    const folder at;
    const auto listener = listen_for_packets(at / "s");
    CHECK_FALSE(accept_packets(listener.get()));
    struct stat found {};
    REQUIRE(::stat((at / "s").c_str(), &found) == 0);
    CHECK((found.st_mode & 0777U) == 0600);
    const auto near = connect_packets(at / "s");
    const auto far = accept_packets(listener.get());
    REQUIRE(near);
    REQUIRE(far);
    CHECK(peer_process(far.get()) == ::getpid());
    CHECK_FALSE(receive_packet(far.get()));
    CHECK_FALSE(await_packet(far.get(), 1ms));
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    descriptor out{ends[0]}, in{ends[1]};
    CHECK(send_packet(near.get(), "one"));
    CHECK(send_packet(near.get(), "two", in.get()));
    const auto one = receive_packet(far.get());
    auto two = await_packet(far.get(), 10s);
    REQUIRE(one);
    REQUIRE(two);
    CHECK(one->text == "one");
    CHECK_FALSE(one->passed);
    CHECK(two->text == "two");
    REQUIRE(two->passed);
    CHECK((::fcntl(two->passed.get(), F_GETFD) & FD_CLOEXEC) != 0);
    REQUIRE(::write(two->passed.get(), "x", 1) == 1);
    char got = 0;
    REQUIRE(::read(out.get(), &got, 1) == 1);
    CHECK(got == 'x');
}

TEST_CASE("packets: the end of the other side is an empty one; nobody there is nothing") {
    const folder at;
    CHECK_FALSE(connect_packets(at / "s"));
    {
        const auto listener = listen_for_packets(at / "s");
        auto near = connect_packets(at / "s");
        const auto far = accept_packets(listener.get());
        near.reset();
        const auto last = await_packet(far.get(), 10s);
        REQUIRE(last);
        CHECK(last->text.empty());
        CHECK_FALSE(send_packet(far.get(), "x"));
    }
    CHECK_FALSE(connect_packets(at / "s"));  // its file is still there
    CHECK(listen_for_packets(at / "s"));     // and no obstacle
    CHECK_THROWS_AS((void)listen_for_packets(at / "none/s"), std::runtime_error);
    CHECK_THROWS_AS((void)connect_packets(std::string(200, 'x')), std::runtime_error);
}

TEST_CASE("serving lock: one alone or several together, and one that accepts") {
    const folder at;
    serving_lock old{at / "l"};
    CHECK(old.serve_alone());
    CHECK(old.accept());
    {
        serving_lock fresh{at / "l"};
        CHECK_FALSE(fresh.serve());
        CHECK_FALSE(fresh.serve_alone());
        CHECK_FALSE(fresh.accept());
        CHECK(old.serve());
        CHECK(fresh.serve());
        CHECK_FALSE(fresh.serve_alone());
        CHECK_FALSE(old.serve_alone());
        CHECK_FALSE(fresh.accept());
        old.stop_accepting();
        CHECK(fresh.accept());
        CHECK_FALSE(old.accept());
        serving_lock third{at / "l"};
        CHECK_FALSE(third.serve_alone());
        CHECK(third.serve());  // what could not be had has cost nothing
        CHECK_FALSE(fresh.serve_alone());
    }
    CHECK(old.serve_alone());  // the others have ended
    CHECK(old.accept());
}

TEST_CASE("serving lock: no file, and no link in its place") {
    const folder at;
    CHECK_THROWS_AS(serving_lock{at / "none/l"}, std::runtime_error);
    REQUIRE(::symlink("/dev/null", (at / "l").c_str()) == 0);
    CHECK_THROWS_AS(serving_lock{at / "l"}, std::runtime_error);
}
