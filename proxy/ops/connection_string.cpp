#include "proxy/ops/connection_string.h"

#include <algorithm>
#include <array>
#include <utility>

#include "protocol/ascii.h"

namespace pgsidecar::ops {
namespace {

using protocol::lower_case;

constexpr bool is_blank(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }
constexpr bool is_control(char c) noexcept {
    return (static_cast<unsigned char>(c) < 0x20 && !is_blank(c)) || c == '\x7f';
}

std::string at_place(const char* what, std::size_t at) {
    return std::string{what} + " at its character " + std::to_string(at + 1);
}

// DbConnectionOptions.GetKeyValuePair(): one pair after the other.
class pair_reader {
  public:
    explicit pair_reader(std::string_view text) : text_{text} {}

    connection_string read() {
        connection_string out;
        while (skip_to_keyword()) {
            keyword_value pair;
            if (!keyword(pair) || !value(pair)) return {{}, problem_};
            out.pairs.push_back(std::move(pair));
        }
        return out;
    }

  private:
    [[nodiscard]] bool ended() const noexcept { return at_ >= text_.size(); }
    bool fail(const char* what, std::size_t where) {
        problem_ = at_place(what, where);
        return false;
    }
    void skip_blanks() {
        while (!ended() && is_blank(text_[at_])) ++at_;
    }
    bool skip_to_keyword() {
        while (!ended() && (is_blank(text_[at_]) || text_[at_] == ';')) ++at_;
        return !ended();
    }

    bool keyword(keyword_value& out) {
        out.from = at_;
        std::string name;
        for (; !ended(); ++at_) {
            const char c = text_[at_];
            if (is_control(c)) return fail("a control character stands", at_);
            if (c == ';') break;
            if (c != '=') {
                name += c;
                continue;
            }
            if (text_.substr(at_ + 1, 1) != "=") break;
            name += c;  // "==" is one "=" of the keyword
            ++at_;
        }
        while (!name.empty() && is_blank(name.back())) name.pop_back();
        if (ended() || text_[at_] != '=') return fail("there is no = behind a keyword", out.from);
        if (name.empty()) return fail("there is no keyword before the =", at_);
        ++at_;
        out.keyword = lower_case(name);
        return true;
    }

    bool value(keyword_value& out) {
        skip_blanks();
        out.begin = out.end = at_;
        const bool quoted = !ended() && (text_[at_] == '"' || text_[at_] == '\'');
        if (quoted ? !quoted_value(out) : !plain_value(out)) return false;
        skip_blanks();
        if (!ended() && text_[at_] != ';')
            return fail("something stands behind a quoted value", at_);
        return true;
    }

    bool plain_value(keyword_value& out) {
        for (; !ended() && text_[at_] != ';'; ++at_) {
            if (is_control(text_[at_])) return fail("a control character stands", at_);
            if (!is_blank(text_[at_])) out.end = at_ + 1;
        }
        out.value = text_.substr(out.begin, out.end - out.begin);
        return true;
    }

    bool quoted_value(keyword_value& out) {
        const char quote = text_[at_++];
        for (; !ended(); ++at_) {
            if (text_[at_] != quote) {
                out.value += text_[at_];
            } else if (text_.substr(at_ + 1, 1) == std::string_view{&quote, 1}) {
                out.value += text_[at_++];
            } else {
                out.end = ++at_;
                return true;
            }
        }
        return fail("a quote is not closed that begins", out.begin);
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::string problem_;
};

// What Npgsql does not know and another driver does: the text is none of PostgreSQL.
constexpr std::array<std::string_view, 12> foreign{"data source",
                                                   "initial catalog",
                                                   "trusted_connection",
                                                   "attachdbfilename",
                                                   "multipleactiveresultsets",
                                                   "user instance",
                                                   "service name",
                                                   "driver",
                                                   "dsn",
                                                   "provider",
                                                   "accountendpoint",
                                                   "allowuservariables"};

// Of Npgsql, and of no use to who should not see them.
constexpr std::array<std::string_view, 44> harmless{"host",
                                                    "server",
                                                    "port",
                                                    "database",
                                                    "db",
                                                    "username",
                                                    "user name",
                                                    "userid",
                                                    "user id",
                                                    "uid",
                                                    "application name",
                                                    "enlist",
                                                    "search path",
                                                    "client encoding",
                                                    "encoding",
                                                    "timezone",
                                                    "ssl mode",
                                                    "sslmode",
                                                    "ssl negotiation",
                                                    "channel binding",
                                                    "check certificate revocation",
                                                    "pooling",
                                                    "minimum pool size",
                                                    "maximum pool size",
                                                    "connection idle lifetime",
                                                    "connection pruning interval",
                                                    "connection lifetime",
                                                    "load balance timeout",
                                                    "timeout",
                                                    "command timeout",
                                                    "cancellation timeout",
                                                    "keepalive",
                                                    "tcp keepalive",
                                                    "target session attributes",
                                                    "load balance hosts",
                                                    "host recheck seconds",
                                                    "max auto prepare",
                                                    "auto prepare min usages",
                                                    "no reset on close",
                                                    "multiplexing",
                                                    "include error detail",
                                                    "persist security info",
                                                    "trust server certificate",
                                                    "gss encryption mode"};

template <std::size_t N>
bool is_among(std::string_view keyword, const std::array<std::string_view, N>& names) {
    return std::ranges::find(names, keyword) != names.end();
}

bool is_uri(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    const std::string start = lower_case(text.substr(0, 13));
    return start.starts_with("postgresql://") || start.starts_with("postgres://");
}

constexpr const char* uri_problem =
    "it is a URI, which Npgsql does not read: it is left alone; write Host=...;Port=...;... "
    "instead";

// "host:port" as Npgsql reads it; an IPv6 address without brackets has more than one colon.
bool is_at(const std::string& host, const redirect_request& to) { return host == to.host; }

std::string foreign_keyword(const connection_string& read) {
    for (const auto& pair : read.pairs) {
        if (is_among(pair.keyword, foreign)) return pair.keyword;
    }
    return {};
}

std::string why_not(const connection_string& read, const keyword_value* host,
                    const redirect_request& to) {
    if (!read.problem.empty()) return "it is no connection string: " + read.problem;
    if (const std::string other = foreign_keyword(read); !other.empty())
        return "it is not one of PostgreSQL: Npgsql does not know its keyword \"" +
               protocol::printable(other) + "\"";
    if (host == nullptr) return "it names no Host, so there is nothing to redirect";
    if (host->value.find(',') != std::string::npos && !to.all_hosts)
        return "it names several hosts (Host=" + protocol::printable(host->value) +
               "), of which one pgsidecar stands before one only: with --all-hosts the list is "
               "replaced";
    return {};
}

void add_notes(const connection_string& read, redirection& out) {
    for (const auto& pair : read.pairs) {
        const std::string value = lower_case(pair.value);
        const bool tls = pair.keyword == "ssl mode" || pair.keyword == "sslmode";
        if (tls && (value == "verifyfull" || value == "verify-full"))
            out.notes.emplace_back(
                "SSL Mode=VerifyFull stays: the certificate that pgsidecar shows must name the new "
                "host");
        if (tls && (value == "require" || value == "verifyca" || value == "verify-ca"))
            out.notes.emplace_back("SSL Mode=" + protocol::printable(pair.value) +
                                   " stays: pgsidecar must offer TLS (client_tls_sslmode)");
        if (pair.keyword == "multiplexing" && value == "true")
            out.notes.emplace_back(
                "Multiplexing=true stays: then nothing may be SET, see deploy/dotnet.md");
    }
}

}  // namespace

bool names_host(std::string_view keyword) noexcept {
    return keyword == "host" || keyword == "server";
}
bool names_port(std::string_view keyword) noexcept { return keyword == "port"; }

connection_string read_connection_string(std::string_view text) {
    if (is_uri(text)) return {{}, uri_problem};
    return pair_reader{text}.read();
}

redirection redirect(std::string_view text, const redirect_request& to) {
    redirection out;
    if (is_uri(text)) {
        out.problem = uri_problem;
        return out;
    }
    const connection_string read = read_connection_string(text);
    const keyword_value* host = nullptr;  // the last one counts, as does the last port
    bool has_port = false;
    for (const auto& pair : read.pairs) {
        if (names_host(pair.keyword)) host = &pair;
        has_port = has_port || names_port(pair.keyword);
    }
    out.problem = why_not(read, host, to);
    if (!out.problem.empty()) return out;
    const std::string port = std::to_string(to.port);
    for (const auto& pair : read.pairs) {
        if (names_host(pair.keyword)) {
            if (!is_at(pair.value, to)) out.edits.push_back({pair.begin, pair.end, to.host});
            if (!has_port && &pair == host)
                out.edits.push_back({pair.end, pair.end, ";Port=" + port});
        } else if (names_port(pair.keyword) && pair.value != port) {
            out.edits.push_back({pair.begin, pair.end, port});
        }
    }
    add_notes(read, out);
    return out;
}

std::string bad_host(std::string_view host) {
    if (host.empty()) return "is empty";
    if (host.size() > 255) return "is too long";
    const bool address = host.find(':') != std::string_view::npos;
    for (const char c : host) {
        const char l = protocol::ascii_lower(c);
        const bool digit = (c >= '0' && c <= '9') || (l >= 'a' && l <= (address ? 'f' : 'z'));
        if (digit || c == '.' || (address ? c == ':' : c == '-' || c == '_')) continue;
        return "is no host name and no address (letters, digits, . - _, or an IPv6 address)";
    }
    if (address && std::ranges::count(host, ':') < 2) return "holds a port; give that with --port";
    return {};
}

bool for_postgresql(std::string_view text) {
    if (is_uri(text)) return false;
    const connection_string read = read_connection_string(text);
    return foreign_keyword(read).empty() &&
           std::ranges::any_of(read.pairs, [](const auto& p) { return names_host(p.keyword); });
}

std::string show_connection_string(std::string_view text) {
    if (is_uri(text)) return "(a URI, not shown)";
    const connection_string read = read_connection_string(text);
    if (!read.problem.empty()) return "(not shown: " + read.problem + ")";
    std::string out;
    for (const auto& pair : read.pairs) {
        const bool shown = is_among(pair.keyword, harmless);
        // The keyword as it is written: its spelling is the file's own.
        std::string_view name = text.substr(pair.from, pair.begin - pair.from);
        name = name.substr(0, name.find_last_of('='));
        while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
        if (!out.empty()) out += ';';
        out += protocol::printable(name) + '=' + (shown ? protocol::printable(pair.value) : "***");
    }
    return out;
}

}  // namespace pgsidecar::ops
