#include "proxy/io/probe.h"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <functional>

namespace pgsidecar::io {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;
using clock = std::chrono::steady_clock;

constexpr std::size_t most_http = 8U << 20U;

// Sends and receives over a socket that is connected already.
template <class Socket>
void converse(asio::io_context& context, Socket& socket, const std::string& request,
              std::size_t at_most, clock::time_point until, probed& out) {
    if (request.empty()) return;
    bool ended = false;
    error_code failed;
    std::function<void()> more = [&] {
        if (out.reply.size() >= at_most) {
            ended = true;
            return;
        }
        static thread_local std::array<char, 65536> part;
        const auto size = std::min(part.size(), at_most - out.reply.size());
        socket.async_read_some(asio::buffer(part.data(), size),
                               [&](error_code error, std::size_t got) {
                                   out.reply.append(part.data(), got);
                                   if (!error) return more();
                                   ended = true;
                                   if (error != asio::error::eof) failed = error;
                               });
    };
    asio::async_write(socket, asio::buffer(request), [&](error_code error, std::size_t) {
        if (!error) return more();
        ended = true;
        failed = error;
    });
    context.restart();
    context.run_until(until);
    if (failed) out.why = failed.message();
    if (ended) return;
    out.why = "no answer in time";
    error_code ignored;
    socket.close(ignored);
    context.restart();
    context.run_for(milliseconds{100});  // what is under way refers to this function's variables
}

template <class Socket, class Begin>
probed talk(const std::string& request, std::size_t at_most, milliseconds time, Begin begin) {
    const auto start = clock::now();
    probed out;
    {
        asio::io_context context;
        Socket socket{context};
        bool ended = false;
        begin(context, socket, [&](error_code error) {
            ended = true;
            out.connected = !error;
            if (error) out.why = error.message();
        });
        context.run_until(start + time);
        if (!ended) {
            out.why = "no connection in time";
            error_code ignored;
            socket.close(ignored);
            context.stop();
        } else if (out.connected) {
            converse(context, socket, request, at_most, start + time, out);
        }
    }
    out.took = std::chrono::duration_cast<milliseconds>(clock::now() - start);
    return out;
}

}  // namespace

probed probe(const std::string& host, std::uint16_t port, const std::string& request,
             std::size_t at_most, milliseconds time) {
#ifdef BOOST_ASIO_HAS_LOCAL_SOCKETS
    if (host.starts_with('/')) {
        using local = asio::local::stream_protocol;
        return talk<local::socket>(request, at_most, time, [&](auto&, auto& socket, auto done) {
            socket.async_connect(local::endpoint{host + "/.s.PGSQL." + std::to_string(port)}, done);
        });
    }
#endif
    using tcp = asio::ip::tcp;
    return talk<tcp::socket>(request, at_most, time, [&](auto& context, auto& socket, auto done) {
        // A name is asked for before the time counts: the system's resolver has bounds of its own.
        tcp::resolver resolver{context};
        error_code error;
        const auto found = resolver.resolve(host, std::to_string(port), error);
        if (error) return done(error);
        asio::async_connect(socket, found, [done](error_code e, const auto&) { done(e); });
    });
}

std::string describe_ssl_request(const std::string& host, std::uint16_t port, milliseconds time) {
    const std::string request{"\0\0\0\x08\x04\xd2\x16\x2f", 8};
    const auto got = probe(host, port, request, 1, time);
    if (!got.connected) return "not reached: " + got.why;
    if (got.reply == "S") return "S: it offers TLS";
    if (got.reply == "N") return "N: it offers no TLS";
    if (got.reply == "E") return "E: it answers with an error";
    if (got.reply.empty()) return "it answers nothing: " + (got.why.empty() ? "closed" : got.why);
    return "it answers what PostgreSQL would not";
}

http_reply http_get(const std::string& host, std::uint16_t port, const std::string& path,
                    const std::string& token, milliseconds time) {
    const std::string authorization =
        token.empty() ? "" : "Authorization: Bearer " + token + "\r\n";
    const auto got = probe(host, port,
                           "GET " + path + " HTTP/1.0\r\nHost: " + host + "\r\n" + authorization +
                               "Connection: close\r\n\r\n",
                           most_http, time);
    http_reply out;
    out.why = got.why;
    const auto line = got.reply.find("\r\n");
    const auto body = got.reply.find("\r\n\r\n");
    if (body == std::string::npos) {
        if (out.why.empty()) out.why = "it does not answer as HTTP does";
        return out;
    }
    out.status = got.reply.substr(0, line);
    out.body = got.reply.substr(body + 4);
    return out;
}

}  // namespace pgsidecar::io
