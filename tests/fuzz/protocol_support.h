// Properties that the fuzzers of protocol/ share. A property that fails traps, in every build type.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "protocol/bytes.h"

namespace pgsidecar::protocol::fuzz {

inline void require(bool property) {
    if (!property) __builtin_trap();
}

inline bytes view(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// Reads every byte of a view, so that the sanitizer sees one that reaches too far.
inline void touch(bytes v) {
    volatile char sink = 0;
    for (const char c : v) sink = static_cast<char>(sink ^ c);
}

inline std::string framed(char type, bytes body) {
    std::string out{type};
    const auto length = body.size() + 4;
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(length >> shift));
    return out.append(body);
}

// open: any byte more or less may still be a good message; closed: the fields say where it ends.
enum class shape : std::uint8_t { open, closed };

// What parses is written back to the same bytes and, when closed, parses at no other length.
template <class Message, class Walk>
void check_message(bytes body, shape s, Walk walk) {
    Message got{};
    if (parse(body, got)) return;
    walk(got);
    std::string written;
    write(written, got);
    require(written == framed(Message::type, body));
    Message again{};
    require(!parse(bytes{written}.substr(5), again));
    require(again == got);
    if (s == shape::open) return;
    require(body.empty() || parse(body.substr(0, body.size() - 1), again));
    written.push_back('\0');
    require(static_cast<bool>(parse(bytes{written}.substr(5), again)));
}

template <class Message>
void check_message(bytes body, shape s = shape::closed) {
    check_message<Message>(body, s, [](const Message&) {});
}

}  // namespace pgsidecar::protocol::fuzz
