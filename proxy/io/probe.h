// Short conversations with something that listens, for `pgsidecar diagnose`: does it answer, and
// what? Each ends within its time, whatever the other side does. For a thread that may wait.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace pgsidecar::io {

struct probed {
    bool connected = false;
    std::string reply{};  // as much as was asked for, or had come when the time was over
    std::string why{};    // not connected, or not all of the reply; empty = all is well
    std::chrono::milliseconds took{0};
};

// Connects, sends `request`, and takes bytes until there are `at_most` or the other side ends it.
// Nothing to send: only connects. A host that begins with / is the folder of a Unix socket of
// PostgreSQL's.
[[nodiscard]] probed probe(const std::string& host, std::uint16_t port, const std::string& request,
                           std::size_t at_most, std::chrono::milliseconds time);

// What a server of PostgreSQL's protocol says to SSLRequest, as a sentence.
[[nodiscard]] std::string describe_ssl_request(const std::string& host, std::uint16_t port,
                                               std::chrono::milliseconds time);

// The status line, empty, why and body of a GET; `token` may be empty.
struct http_reply {
    std::string status{}, body{}, why{};
};
[[nodiscard]] http_reply http_get(const std::string& host, std::uint16_t port,
                                  const std::string& path, const std::string& token,
                                  std::chrono::milliseconds time);

// The certificates of a PEM file, and whether a key belongs to the first: subject, names, dates.
[[nodiscard]] std::string describe_certificates(const std::string& file,
                                                const std::string& key_file);

}  // namespace pgsidecar::io
