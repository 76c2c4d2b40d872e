// Both kinds of socket keep one contract: proxy/io/stream_socket.h.
#include <doctest/doctest.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <string>
#include <vector>

#include "proxy/io/asio_socket.h"
#ifdef __linux__
#include "proxy/io/epoll_socket.h"
#endif

namespace {

using namespace pgsidecar::io;
namespace asio = boost::asio;
using boost::system::error_code;

#ifdef __linux__
#define SOCKETS epoll_socket, asio_socket
#else
#define SOCKETS asio_socket
#endif

// A connection over loopback: ours, and the peer with blocking calls.
template <class Socket>
struct connection {
    explicit connection(asio::io_context& home, asio::io_context& other) : peer{other} {
        tcp::acceptor listener{other, {asio::ip::address_v4::loopback(), 0}};
        peer.connect(listener.local_endpoint());
        ours = std::make_shared<Socket>(home, listener.accept());
    }
    void say(const std::string& text) { asio::write(peer, asio::buffer(text)); }
    io_status hear(std::string& text) {
        std::array<char, 64> buffer{};
        std::size_t got = 0;
        const auto status = ours->receive(buffer, got);
        text.assign(buffer.data(), status == io_status::ok ? got : 0);
        return status;
    }
    tcp::socket peer;
    std::shared_ptr<Socket> ours;
};

struct world {
    asio::io_context home{1};
    asio::io_context other;
    // Runs what is ready until nothing is; false if that never ends.
    bool settle() {
        for (int i = 0; i < 100; ++i)
            if (home.restart(), other.restart(), home.poll() + other.poll() == 0) return true;
        return false;
    }
    // Waits for one more thing to happen; false if that takes more than a minute.
    template <class Done>
    bool until(Done done) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{60};
        while (!done() && std::chrono::steady_clock::now() < end) {
            home.restart();
            other.restart();
            // A socket that stays where it was made waits there.
            if (other.poll() == 0) home.run_one_for(std::chrono::milliseconds{5});
        }
        return done();
    }
};

}  // namespace

TEST_CASE_TEMPLATE("socket: a wait is told once, and again for what is still unread", T, SOCKETS) {
    world w;
    connection<T> c{w.home, w.other};
    std::string text;
    CHECK(c.hear(text) == io_status::would_block);
    int told = 0;
    const auto wait = [&] {
        c.ours->on_readable([&](error_code error) {
            CHECK(!error);
            ++told;
        });
    };
    wait();
    CHECK(w.settle());
    CHECK(told == 0);
    c.say("abc");
    CHECK(w.until([&] { return told == 1; }));
    CHECK(w.settle());
    CHECK(told == 1);
    wait();  // nothing new came, but it is not read either
    CHECK(w.until([&] { return told == 2; }));
    CHECK(c.hear(text) == io_status::ok);
    CHECK(text == "abc");
    wait();
    CHECK(w.settle());
    CHECK(told == 2);
    c.say("d");
    CHECK(w.until([&] { return told == 3; }));
}

TEST_CASE_TEMPLATE("socket: peek leaves the bytes where they are", T, SOCKETS) {
    world w;
    connection<T> c{w.home, w.other};
    c.say("xy");
    char first = 0;
    std::size_t got = 0;
    bool told = false;
    c.ours->on_readable([&](error_code) { told = true; });
    CHECK(w.until([&] { return told; }));
    CHECK(c.ours->receive({&first, 1}, got, true) == io_status::ok);
    CHECK(first == 'x');
    std::string text;
    CHECK(c.hear(text) == io_status::ok);
    CHECK(text == "xy");
}

TEST_CASE_TEMPLATE("socket: the peer's end is readable, then closed", T, SOCKETS) {
    world w;
    connection<T> c{w.home, w.other};
    bool told = false;
    c.ours->on_readable([&](error_code error) { told = !error; });
    c.peer.close();
    CHECK(w.until([&] { return told; }));
    std::string text;
    CHECK(c.hear(text) == io_status::closed);
}

TEST_CASE_TEMPLATE("socket: a full peer makes it wait until there is room again", T, SOCKETS) {
    world w;
    connection<T> c{w.home, w.other};
    const std::string block(64U << 10, 'x');
    std::size_t total = 0, sent = 0;
    const std::array<std::string_view, 2> pieces{block, "end"};
    while (c.ours->send(pieces, sent) == io_status::ok) total += sent;
    CHECK(total > 0);
    bool told = false;
    c.ours->on_writable([&](error_code error) { told = !error; });
    CHECK(w.settle());
    CHECK(!told);
    std::vector<char> sink(1U << 20);
    std::size_t read = 0;
    while (read < total) read += c.peer.read_some(asio::buffer(sink));
    CHECK(w.until([&] { return told; }));
    CHECK(c.ours->send(pieces, sent) == io_status::ok);
    CHECK(w.settle());  // room that nobody waits for is not told for ever
}

TEST_CASE_TEMPLATE("socket: both directions are waited for at once", T, SOCKETS) {
    world w;
    connection<T> c{w.home, w.other};
    bool readable = false, writable = false;
    c.ours->on_readable([&](error_code) { readable = true; });
    c.ours->on_writable([&](error_code) { writable = true; });
    CHECK(w.until([&] { return writable; }));
    CHECK(!readable);
    c.say("a");
    CHECK(w.until([&] { return readable; }));
}

TEST_CASE_TEMPLATE("socket: closing tells who waits, but later", T, SOCKETS) {
    world w;
    connection<T> c{w.home, w.other};
    std::vector<error_code> told;
    c.ours->on_readable([&](error_code error) { told.push_back(error); });
    // Two that are ready at the same time as they are closed: the peer has spoken.
    c.say("a");
    c.ours->close();
    CHECK(told.empty());
    CHECK(!c.ours->is_open());
    CHECK(w.settle());
    CHECK(told == std::vector<error_code>{asio::error::operation_aborted});
    c.ours->close();
}

TEST_CASE_TEMPLATE("socket: a peer that hangs up while nobody waits keeps nobody busy", T,
                   SOCKETS) {
    world w;
    connection<T> c{w.home, w.other};
    bool told = false;
    c.ours->on_readable([&](error_code) { told = true; });
    c.say("a");
    CHECK(w.until([&] { return told; }));
    c.peer.set_option(tcp::socket::linger{true, 0});
    c.peer.close();  // a reset
    CHECK(w.settle());
    told = false;
    c.ours->on_readable([&](error_code) { told = true; });
    CHECK(w.until([&] { return told; }));
    std::string text;
    while (c.hear(text) == io_status::ok) {
    }
    CHECK(c.hear(text) == io_status::closed);
}

#ifdef __linux__
TEST_CASE("socket: who is destroyed by another's handler hears nothing any more") {
    world w;
    using pair = connection<epoll_socket>;
    std::array<pair, 2> both{pair{w.home, w.other}, pair{w.home, w.other}};
    int told = 0;
    for (std::size_t i = 0; i < 2; ++i)
        both[i].ours->on_readable([&, i](error_code error) {
            if (error) return;
            ++told;
            both[1 - i].ours.reset();
            // Another may take its place in memory before the rest of the events is looked at.
            both[1 - i] = pair{w.home, w.other};
            both[1 - i].ours->on_readable([&](error_code) { ++told; });
        });
    for (auto& c : both) c.say("a");
    CHECK(w.until([&] { return told > 0; }));
    CHECK(w.settle());
    CHECK(told == 1);
}
#endif

TEST_CASE_TEMPLATE("socket: destroying the io_context frees what waiting kept alive", T, SOCKETS) {
    auto w = std::make_unique<world>();
    auto c = std::make_unique<connection<T>>(w->home, w->other);
    const std::weak_ptr<T> watched = c->ours;
    c->ours->on_readable([self = c->ours](error_code) {});
    c.reset();
    CHECK(!watched.expired());
    w.reset();
    CHECK(watched.expired());
}

TEST_CASE_TEMPLATE("socket: may come from the io_context that accepted it, or from its own", T,
                   SOCKETS) {
    world w;
    connection<T> elsewhere{w.home, w.other};
    connection<T> here{w.home, w.home};
    int told = 0;
    for (auto* c : {&elsewhere, &here}) {
        c->ours->on_readable([&](error_code error) { told += error ? 0 : 1; });
        c->say("a");
    }
    CHECK(w.until([&] { return told == 2; }));
}
