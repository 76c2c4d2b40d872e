#include "config/webhook_url.h"

#include <algorithm>
#include <charconv>

#include "config/text_checks.h"

namespace pgsidecar::config {
namespace {

constexpr std::string_view scheme = "http://";
constexpr std::size_t longest = 2048;  // bytes

// What a request line may hold.
bool is_plain(char c) noexcept {
    return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f;
}

}  // namespace

std::optional<webhook_url> read_webhook_url(std::string_view text, std::string& why) {
    const auto refuse = [&why](const char* reason) {
        why = reason;
        return std::nullopt;
    };
    if (!text.starts_with(scheme)) return refuse("does not begin with http://");
    if (text.size() > longest) return refuse("is longer than 2048 bytes");
    if (!std::ranges::all_of(text, is_plain))
        return refuse("holds a blank, a control character, or one outside ASCII");
    text.remove_prefix(scheme.size());
    const std::size_t path = text.find_first_of("/?#");
    std::string_view host = text.substr(0, path);
    webhook_url out;
    if (path != std::string_view::npos) out.target = text.substr(path, text.find('#') - path);
    if (!out.target.starts_with('/')) out.target.insert(0, 1, '/');
    if (host.find('@') != std::string_view::npos)
        return refuse("holds a user or a password, which are not sent");
    std::string_view port;
    if (host.starts_with('[')) {
        const std::size_t end = host.find(']');
        if (end == std::string_view::npos) return refuse("has a [ without its ]");
        port = host.substr(end + 1);
        host = host.substr(1, end - 1);
    } else if (const std::size_t colon = host.find(':'); colon != std::string_view::npos) {
        port = host.substr(colon);
        host = host.substr(0, colon);
    }
    if (!port.empty()) {
        const char* const end = port.data() + port.size();
        const auto read = std::from_chars(port.data() + 1, end, out.port);
        if (port.front() != ':' || read.ec != std::errc{} || read.ptr != end || out.port == 0)
            return refuse("has a port that is not a number from 1 to 65535");
    }
    if (!check_host(host).empty()) return refuse("has no host name or address");
    out.host = host;
    return out;
}

bool is_loopback(std::string_view host) noexcept {
    // A name may begin with 127. as well.
    const bool ipv4 = host.find_first_not_of("0123456789.") == std::string_view::npos;
    return host == "localhost" || host == "::1" || (ipv4 && host.starts_with("127."));
}

}  // namespace pgsidecar::config
