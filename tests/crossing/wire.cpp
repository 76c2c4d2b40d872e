#include "wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

namespace pgsidecar::crossing {

std::uint64_t reader::number(std::size_t width) {
    std::uint64_t n = 0;
    for (const char c : bytes(width)) n = n << 8U | static_cast<unsigned char>(c);
    return n;
}

std::string_view reader::text() {
    const auto out = body_.substr(0, body_.find('\0'));
    body_.remove_prefix(std::min(out.size() + 1, body_.size()));
    return out;
}

std::string_view reader::bytes(std::size_t n) {
    const auto out = body_.substr(0, n);
    body_.remove_prefix(out.size());
    return out;
}

std::int64_t number_of(const std::string& word, bool binary) {
    if (binary) {
        std::uint64_t n = 0;
        for (const char c : word) n = n << 8U | static_cast<unsigned char>(c);
        return word.size() == 8   ? static_cast<std::int64_t>(n)
               : word.size() == 4 ? static_cast<std::int32_t>(n)
                                  : -1;
    }
    std::int64_t n = -1;
    (void)std::from_chars(word.data(), word.data() + word.size(), n);
    return n;
}

row row_of(std::string_view data_row) {
    reader in{data_row};
    row out(static_cast<std::size_t>(in.i16()));
    for (auto& field : out) {
        const auto length = in.i32();
        if (length >= 0) field.emplace(in.bytes(static_cast<std::size_t>(length)));
    }
    return out;
}

std::string error_field(std::string_view body, char which) {
    while (!body.empty() && body.front() != '\0') {
        const char key = body.front();
        reader in{body.substr(1)};
        const auto text = in.text();
        if (key == which) return std::string{text};
        body.remove_prefix(std::min(text.size() + 2, body.size()));
    }
    return {};
}

bool wire::connect(std::uint16_t port) {
    close();
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return false;
    const int on = 1;
    (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 || errno == EINPROGRESS;
}

void wire::close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    out_.clear();
    in_.clear();
    sent_ = taken_ = 0;
}

std::size_t wire::begin(char type) {
    if (type != '\0') out_.push_back(type);
    out_.append(4, '\0');
    return out_.size() - 4;
}

void wire::finish(std::size_t at) {
    const auto length = static_cast<std::uint32_t>(out_.size() - at);
    for (std::size_t i = 0; i < 4; ++i)
        out_[at + i] = static_cast<char>(length >> (24U - 8U * static_cast<unsigned>(i)));
}

void wire::text(std::string_view s) { out_.append(s).push_back('\0'); }

void wire::i32(std::int32_t n) {
    for (unsigned shift = 32; shift > 0; shift -= 8)
        out_.push_back(static_cast<char>(static_cast<std::uint32_t>(n) >> (shift - 8)));
}

void wire::i16(std::int16_t n) {
    out_.push_back(static_cast<char>(static_cast<std::uint16_t>(n) >> 8U));
    out_.push_back(static_cast<char>(n));
}

void wire::start_up(const settings& parameters) {
    const auto at = begin('\0');
    i32(3 << 16);
    for (const auto& [name, setting] : parameters) {
        text(name);
        text(setting);
    }
    out_.push_back('\0');
    finish(at);
}

void wire::query(std::string_view sql) {
    const auto at = begin('Q');
    text(sql);
    finish(at);
}

void wire::parse(std::string_view name, std::string_view sql) {
    const auto at = begin('P');
    text(name);
    text(sql);
    i16(0);
    finish(at);
}

void wire::bind(std::string_view portal, std::string_view statement,
                const std::vector<value>& values, bool binary_results) {
    const auto at = begin('B');
    text(portal);
    text(statement);
    i16(0);
    i16(static_cast<std::int16_t>(values.size()));
    for (const auto& one : values) {
        i32(one ? static_cast<std::int32_t>(one->size()) : -1);
        if (one) out_.append(*one);
    }
    i16(1);
    i16(binary_results ? 1 : 0);
    finish(at);
}

void wire::named(char type, char what, std::string_view name) {
    const auto at = begin(type);
    out_.push_back(what);
    text(name);
    finish(at);
}

void wire::execute(std::string_view portal, std::int32_t most_rows) {
    const auto at = begin('E');
    text(portal);
    i32(most_rows);
    finish(at);
}

bool wire::send_some() {
    while (sent_ < out_.size()) {
        const auto n = ::send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
        sent_ += static_cast<std::size_t>(n);
    }
    out_.clear();
    sent_ = 0;
    return true;
}

bool wire::receive() {
    in_.erase(0, taken_);
    taken_ = 0;
    constexpr std::size_t piece = 16384;
    for (;;) {
        const auto had = in_.size();
        in_.resize(had + piece);
        const auto n = ::recv(fd_, in_.data() + had, piece, 0);
        in_.resize(had + (n > 0 ? static_cast<std::size_t>(n) : 0));
        if (n == 0) return false;
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        if (static_cast<std::size_t>(n) < piece) return true;
    }
}

std::optional<frame> wire::next() {
    const auto rest = std::string_view{in_}.substr(taken_);
    if (rest.size() < 5) return std::nullopt;
    reader head{rest.substr(1)};
    const auto length = static_cast<std::size_t>(head.i32());
    if (rest.size() < length + 1) return std::nullopt;
    taken_ += length + 1;
    return frame{rest.front(), rest.substr(5, length - 4)};
}

}  // namespace pgsidecar::crossing
