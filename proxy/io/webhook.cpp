#include "proxy/io/webhook.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace pgsidecar::io {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr std::size_t most_answer = 64U << 10;  // bytes that are looked at

// One attempt; the steps follow each other, whoever fails says why.
class attempt {
  public:
    attempt(const config::webhook_url& to, const std::string& body)
        : to_{to}, request_{http::verb::post, to.target, 11} {
        const bool ipv6 = to.host.find(':') != std::string::npos;
        request_.set(http::field::host,
                     (ipv6 ? "[" + to.host + "]" : to.host) + ":" + std::to_string(to.port));
        request_.set(http::field::user_agent, "pgsidecar");
        request_.set(http::field::content_type, "application/json");
        request_.keep_alive(false);
        request_.body() = body;
        request_.prepare_payload();
        parser_.body_limit(most_answer);
    }

    std::string run(std::chrono::milliseconds at_most) {
        resolver_.async_resolve(to_.host, std::to_string(to_.port),
                                [this](error_code error, const tcp::resolver::results_type& all) {
                                    if (error) return fail("resolving", error);
                                    connect(all);
                                });
        context_.run_for(at_most);
        return why_;
    }

  private:
    void connect(const tcp::resolver::results_type& all) {
        asio::async_connect(socket_, all, [this](error_code error, const tcp::endpoint&) {
            if (error) return fail("connecting", error);
            http::async_write(socket_, request_, [this](error_code failed, std::size_t) {
                if (failed) return fail("sending", failed);
                read();
            });
        });
    }

    void read() {
        // The status is all that is asked for.
        http::async_read_header(socket_, buffer_, parser_, [this](error_code error, std::size_t) {
            if (error) return fail("the answer", error);
            const auto status = parser_.get().result_int();
            why_ = status / 100 == 2 ? std::string{} : "the answer: " + std::to_string(status);
        });
    }

    void fail(const char* step, error_code error) {
        why_ = std::string{step} + ": " + error.message();
    }

    const config::webhook_url& to_;
    asio::io_context context_;
    tcp::resolver resolver_{context_};
    tcp::socket socket_{context_};
    beast::flat_buffer buffer_{most_answer};
    http::request<http::string_body> request_;
    http::response_parser<http::string_body> parser_;
    std::string why_ = "no answer in time";
};

}  // namespace

std::string post_json(const config::webhook_url& to, const std::string& body,
                      std::chrono::milliseconds at_most) {
    try {
        return attempt{to, body}.run(at_most);
    } catch (const std::exception& error) {
        return error.what();
    }
}

}  // namespace pgsidecar::io
