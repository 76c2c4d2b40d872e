#include "proxy/io/redis_link.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

namespace pgsidecar::io {
namespace {

constexpr std::size_t read_size = 64U << 10;

std::pair<std::string, std::string> split(const std::string& address) {
    const auto colon = address.rfind(':');
    auto host = address.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    return {host, address.substr(colon + 1)};
}

std::int64_t number_of(const redisReply& r) {
    std::int64_t out = 0;
    const auto text = text_of(r);
    std::from_chars(text.data(), text.data() + text.size(), out);
    return out;
}

}  // namespace

std::string error_code_of(const redisReply& r) {
    if (r.type != REDIS_REPLY_ERROR) return {};
    auto code = text_of(r);
    code = code.substr(0, std::min(code.find(' '), std::size_t{20}));
    const auto usual = [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; };
    return code.empty() || !std::ranges::all_of(code, usual) ? "ERR" : std::string{code};
}

std::chrono::microseconds time_of(const redisReply& r) {
    if (r.type != REDIS_REPLY_ARRAY || r.elements != 2) return {};
    return std::chrono::seconds{number_of(*r.element[0])} +
           std::chrono::microseconds{number_of(*r.element[1])};
}

std::string redis_link::open(time_point until) {
    const auto [host, port] = split(address_);
    out_.clear();
    broken_.clear();
    unread_ = 0;
    reader_.reset(redisReaderCreate());
    if (!reader_) return "memory is short";
    if (!stream_.open(host, port, options_.tls.get(), options_.tls_mode, until)) return error();
    if (options_.password.empty()) return {};
    if (options_.username.empty())
        add({"AUTH", options_.password});
    else
        add({"AUTH", options_.username, options_.password});
    if (!send(until)) return error();
    const auto answer = next(until);
    if (!answer) return error();
    if (const auto code = error_code_of(*answer); !code.empty()) {
        close();
        return address_ + ": the log-in was refused: " + code;
    }
    return {};
}

void redis_link::add(std::span<const std::string_view> request) {
    std::vector<const char*> parts;
    std::vector<std::size_t> sizes;
    for (const auto part : request) {
        parts.push_back(part.data());
        sizes.push_back(part.size());
    }
    char* made = nullptr;
    const auto size =
        redisFormatCommandArgv(&made, static_cast<int>(parts.size()), parts.data(), sizes.data());
    if (size > 0) out_.append(made, static_cast<std::size_t>(size));
    if (made) redisFreeCommand(made);
}

bool redis_link::send(time_point until) {
    sent_ = std::chrono::steady_clock::now();
    if (!stream_.is_open()) return false;
    return stream_.write(std::exchange(out_, {}), until);
}

redis_reply redis_link::next(time_point until) {
    std::vector<char> buffer;
    while (stream_.is_open()) {
        void* got = nullptr;
        if (redisReaderGetReply(reader_.get(), &got) != REDIS_OK) {
            broken_ = "what came is not the redis protocol";
            break;
        }
        if (got) {
            unread_ = 0;
            return redis_reply{static_cast<redisReply*>(got)};
        }
        if (unread_ > options_.max_reply) {
            broken_ = "an answer is too long";
            break;
        }
        buffer.resize(read_size);
        const auto size = stream_.read(buffer, until);
        if (size == 0) break;
        unread_ += size;
        if (redisReaderFeed(reader_.get(), buffer.data(), size) != REDIS_OK) {
            broken_ = "memory is short";
            break;
        }
    }
    close();
    return nullptr;
}

}  // namespace pgsidecar::io
