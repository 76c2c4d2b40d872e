// One HTTP connection: waits for a request, reads it, has the site answer it, writes the answer,
// and waits again. Owned by its server's list; what is under way at the socket keeps it alive until
// it has ended. RFC 9112.
//
//     idle -> reading -> answering -> writing -> idle
//                 '-> writing the error -> lingering -> closed, from anywhere
#pragma once
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <memory>
#include <optional>

#include "proxy/io/http_server.h"

namespace pgsidecar::io {

class http_connection : public std::enable_shared_from_this<http_connection> {
  public:
    http_connection(http_server& home, boost::asio::ip::tcp::socket socket);
    // Where it stands in its server's list.
    void start(http_server::connections::iterator place);
    void close();
    // Nothing is owed to the client: it may be closed to make room.
    [[nodiscard]] bool waits_for_request() const noexcept {
        return state_ == state::idle || state_ == state::reading;
    }

  private:
    enum class state : std::uint8_t { idle, reading, answering, writing, lingering, closed };
    using error_code = boost::system::error_code;

    void wait(std::chrono::milliseconds at_most);
    void read();
    void on_read(error_code error);
    void answer();
    void write(http_answer a, bool keep);
    void on_written(error_code error, bool keep);
    void linger();
    void drain();
    // Calls on_late() unless the step has ended by then.
    void within(std::chrono::milliseconds time);
    void on_late();

    http_server& home_;
    http_server::connections::iterator place_{};
    boost::asio::ip::tcp::socket socket_;
    boost::asio::steady_timer deadline_;
    state state_ = state::idle;
    bool late_ = false;          // the request did not come in time
    std::uint64_t step_ = 0;     // an answer that comes after its time is nobody's
    std::size_t discarded_ = 0;  // bytes, while lingering
    boost::beast::flat_buffer buffer_;
    std::optional<boost::beast::http::request_parser<boost::beast::http::empty_body>> parser_;
    std::optional<boost::beast::http::response<boost::beast::http::string_body>> response_;
};

}  // namespace pgsidecar::io
