// The server over loopback: what clients send in whatever pieces, and how long they may take.
#include "proxy/io/http_server.h"

#include <doctest/doctest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <string>
#include <vector>

#include "proxy/io/http_connection.h"
#include "tests/io/http_world.h"

using namespace pgsidecar;
namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;

namespace {

const std::string get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct world {
    explicit world(unsigned most = 8, io::http_limits limits = {}) {
        limits.linger = milliseconds{20};
        config::http_settings s;
        s.max_connections = most;
        server = std::make_unique<io::http_server>(context, s, site, limits);
        server->start();
    }
    // Runs the server until that is so; false if it takes more than a minute.
    template <class Done>
    bool until(Done done) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
        while (!done()) {
            if (std::chrono::steady_clock::now() > end) return false;
            context.restart();
            context.run_one_for(milliseconds{5});
        }
        return true;
    }

    http_world::sources from;
    io::http_site site{from.make(), "", 10};
    asio::io_context context{1};
    std::unique_ptr<io::http_server> server;
};

struct client {
    explicit client(world& w) : all{w}, socket{w.context} {
        socket.connect({asio::ip::address_v4::loopback(), w.server->port()});
        socket.non_blocking(true);
    }
    void say(std::string_view text) { asio::write(socket, asio::buffer(text)); }
    // Everything until that text has come, or the end.
    bool hear(const std::string& wanted) {
        return all.until([&] {
            take();
            return heard.find(wanted) != std::string::npos;
        });
    }
    bool hear_end() {
        return all.until([&] {
            take();
            return ended;
        });
    }
    void take() {
        std::array<char, 65536> buffer{};
        boost::system::error_code error;
        const auto got = socket.read_some(asio::buffer(buffer), error);
        heard.append(buffer.data(), got);
        if (error && error != asio::error::would_block) ended = true;
    }
    std::size_t count(const std::string& text) const {
        std::size_t n = 0;
        for (auto at = heard.find(text); at != std::string::npos; at = heard.find(text, at + 1))
            ++n;
        return n;
    }

    world& all;
    tcp::socket socket;
    std::string heard;
    bool ended = false;
};

}  // namespace

TEST_CASE("a request is answered however its bytes are split, and the connection goes on") {
    world w;
    client c{w};
    for (std::size_t at = 1; at < get.size(); at += 7) {
        c.heard.clear();
        c.say(get.substr(0, at));
        CHECK(w.until([&, n = 0]() mutable { return ++n > 3; }));
        c.say(get.substr(at));
        REQUIRE(c.hear("{\"status\":\"alive\"}"));
        CHECK(c.heard.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    CHECK_FALSE(c.ended);
}

TEST_CASE("requests that come at once are answered in order") {
    world w;
    client c{w};
    c.say(get + "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" + get +
          "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    REQUIRE(c.hear_end());
    CHECK(c.count("HTTP/1.1 200") == 3);
    CHECK(c.count("HTTP/1.1 404") == 1);
    CHECK(c.heard.find("404") < c.heard.rfind("alive"));
}

TEST_CASE("every answer says what browsers must not do with it") {
    world w;
    client c{w};
    c.say("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    REQUIRE(c.hear("</html>"));
    for (const char* header :
         {"Content-Security-Policy: default-src 'self'", "Cache-Control: no-store",
          "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer",
          "Content-Type: text/html; charset=utf-8"})
        CHECK_MESSAGE(c.heard.find(header) != std::string::npos, header);
}

TEST_CASE("HEAD: the same header, no body") {
    world w;
    client a{w}, b{w};
    a.say("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    b.say("HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    REQUIRE(a.hear_end());
    REQUIRE(b.hear_end());
    CHECK(a.heard == b.heard + "{\"status\":\"alive\"}");
    CHECK(b.heard.find("Content-Length: 18") != std::string::npos);
}

TEST_CASE("what is no request here: the right status, then the end") {
    static const struct {
        const char* name;
        std::string text;
        const char* want;
    } rows[] = {
        {"nonsense", "hello\r\n\r\n", "400"},
        {"another protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"},
        {"a PostgreSQL client", std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8), "400"},
        {"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + "\r\n\r\n",
         "400"},
        {"no host", "GET / HTTP/1.1\r\n\r\n", "400"},
        {"two hosts", "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", "400"},
        {"a body", "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", "413"},
        {"chunks",
         "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "413"},
        {"a bad length", "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", "400"},
        {"a long target", "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
         "431"},
        {"many fields",
         [] {
             std::string text = "GET / HTTP/1.1\r\nHost: localhost\r\n";
             for (int i = 0; i < 2000; ++i) text += "X: y\r\n";
             return text + "\r\n";
         }(),
         "431"},
        {"an endless line", std::string(200'000, 'G'), "4"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name);
        world w;
        client c{w};
        c.say(row.text);
        REQUIRE(c.hear_end());
        CHECK(c.heard.starts_with(std::string{"HTTP/1.1 "} + row.want));
        CHECK(c.count("HTTP/1.1 ") == 1);
        CHECK(w.until([&] { return w.server->size() == 0; }));
    }
}

TEST_CASE("a method that is not served") {
    world w;
    client c{w};
    c.say("DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    REQUIRE(c.hear("only GET and HEAD"));
    CHECK(c.heard.starts_with("HTTP/1.1 405"));
    CHECK(c.heard.find("Allow: GET, HEAD") != std::string::npos);
}

TEST_CASE("HTTP/1.0 without a Host, and its connection ends") {
    world w;
    client c{w};
    c.say("GET /healthz HTTP/1.0\r\n\r\n");
    REQUIRE(c.hear_end());
    CHECK(c.heard.find("alive") != std::string::npos);
}

TEST_CASE("a request that does not come to its end in time") {
    io::http_limits limits;
    limits.request = milliseconds{30};
    world w{8, limits};
    client c{w};
    c.say("GET / HTTP/1.1\r\nHost: lo");
    REQUIRE(c.hear_end());
    CHECK(c.heard.starts_with("HTTP/1.1 408"));
    CHECK(w.until([&] { return w.server->size() == 0; }));
}

TEST_CASE("a connection that says nothing, at its beginning or later, is closed without a word") {
    io::http_limits limits;
    limits.first = limits.idle = milliseconds{30};
    world w{8, limits};
    client silent{w}, later{w};
    later.say(get);
    REQUIRE(silent.hear_end());
    CHECK(silent.heard.empty());
    REQUIRE(later.hear_end());
    CHECK(later.count("HTTP/1.1 ") == 1);
}

TEST_CASE("an answer that does not come, and one that comes too late") {
    io::http_limits limits;
    limits.answer = milliseconds{30};
    world w{8, limits};
    w.from.answers = false;
    client c{w};
    c.say("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    REQUIRE(c.hear_end());
    CHECK(c.heard.starts_with("HTTP/1.1 503"));
    REQUIRE(w.from.waiting.size() == 1);
    w.from.waiting[0](std::make_shared<const ops::observations>());
    CHECK(c.count("HTTP/1.1 ") == 1);
}

TEST_CASE("a client that does not take its answer") {
    io::http_limits limits;
    limits.write = milliseconds{50};
    world w{8, limits};
    // More than sockets hold.
    for (unsigned i = 0; i < 1000; ++i) w.from.seen.tiers["t" + std::to_string(i)];
    client c{w};
    c.socket.set_option(asio::socket_base::receive_buffer_size{4096});
    c.say("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    REQUIRE(w.until([&] { return w.server->size() == 1; }));
    CHECK(w.until([&] { return w.server->size() == 0; }));
}

TEST_CASE("a newcomer gets the place of who waits longest; who is being answered keeps its own") {
    world w{4};
    std::vector<std::unique_ptr<client>> held;
    const auto hold = [&] {
        held.push_back(std::make_unique<client>(w));
        held.back()->say("GET /he");  // a slow one
        return w.until([&, n = 0]() mutable { return ++n > 5; });
    };
    for (int i = 0; i < 4; ++i) REQUIRE(hold());
    CHECK(w.until([&] { return w.server->size() == 4; }));
    client late{w};
    late.say(get);
    REQUIRE(late.hear("alive"));
    CHECK(held[0]->hear_end());
    held[1]->take();
    CHECK_FALSE(held[1]->ended);
    for (int i = 0; i < 200; ++i) REQUIRE(hold());
    CHECK(w.server->size() == 4);

    // All places are being answered: the newcomer is turned away.
    w.from.answers = false;
    std::vector<std::unique_ptr<client>> busy;
    for (int i = 0; i < 4; ++i) {
        busy.push_back(std::make_unique<client>(w));
        busy.back()->say("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        const auto so_many = static_cast<std::size_t>(i + 1);
        REQUIRE(w.until([&] { return w.from.waiting.size() == so_many; }));
    }
    client turned_away{w};
    CHECK(turned_away.hear_end());
    for (const auto& then : w.from.waiting) then(std::make_shared<const ops::observations>());
    for (const auto& c : busy) CHECK(c->hear("pgsidecar_clients 0"));
}

TEST_CASE("its end closes everything, also with an answer under way") {
    world w;
    w.from.answers = false;
    client a{w}, b{w};
    a.say("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    REQUIRE(w.until([&] { return w.from.waiting.size() == 1; }));
    w.server->stop();
    CHECK(a.hear_end());
    CHECK(b.hear_end());
    w.server.reset();
    w.from.waiting[0](std::make_shared<const ops::observations>());
    CHECK(a.heard.empty());
}

TEST_CASE("who waits for the port has it when another one gives it up, and the other way round") {
    world w;
    config::http_settings s;
    s.listen_port = w.server->port();
    io::http_server next{w.context, s, w.site, {}, io::http_server::taken::waits};
    next.start();
    client a{w};
    a.say(get);
    REQUIRE(a.hear("alive"));
    w.server->stop();
    CHECK(a.hear_end());
    std::unique_ptr<client> b;
    REQUIRE(w.until([&] {
        try {
            b = std::make_unique<client>(w);
        } catch (const boost::system::system_error&) {
        }
        return b != nullptr;
    }));
    b->say(get);
    CHECK(b->hear("alive"));
    CHECK(next.size() == 1);
    CHECK(w.server->size() == 0);
    w.server->start();
    next.stop();
    CHECK(b->hear_end());
    CHECK(w.until([&] {
        try {
            client c{w};
            c.say(get);
            return c.hear("alive");
        } catch (const boost::system::system_error&) {
            return false;
        }
    }));
}

TEST_CASE("an address that is taken is said") {
    world w;
    config::http_settings s;
    s.listen_port = w.server->port();
    CHECK_THROWS_WITH((io::http_server{w.context, s, w.site}),
                      ("cannot serve HTTP on 127.0.0.1:" + std::to_string(s.listen_port) +
                       ": Address already in use")
                          .c_str());
}
