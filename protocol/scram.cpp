#include <algorithm>
#include <charconv>

#include "protocol/sasl.h"

namespace pgsidecar::protocol {
namespace {

// Walks "k=value,k=value". Sticky as reader is: the first failure wins, later calls give "".
class attributes {
  public:
    explicit attributes(std::string_view text) noexcept : whole_{text}, rest_{text} {
        if (text.size() > max_scram_text) fail(errc::too_long);
        if (text.find('\0') != std::string_view::npos) fail(errc::bad_value);
    }

    [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
    [[nodiscard]] char key() const noexcept { return rest_.empty() ? '\0' : rest_.front(); }
    [[nodiscard]] std::error_code error() const noexcept {
        return error_ == errc{} ? std::error_code{} : make_error_code(error_);
    }
    [[nodiscard]] std::string_view rest() const noexcept { return rest_; }
    [[nodiscard]] std::string_view done() const noexcept {
        return whole_.substr(0, whole_.size() - rest_.size());
    }

    void fail(errc e) noexcept {
        if (error_ == errc{}) error_ = e;
        rest_ = {};
    }

    // The value of an attribute that must come here and must have that key.
    std::string_view take(char wanted) noexcept {
        if (rest_.size() < 2) {
            fail(errc::truncated);
            return {};
        }
        if (rest_[0] != wanted || rest_[1] != '=') {
            fail(errc::bad_value);
            return {};
        }
        const auto end = std::min(rest_.find(','), rest_.size());
        const auto value = rest_.substr(2, end - 2);
        rest_.remove_prefix(end);
        return value;
    }

    // The channel-binding flag of the header, which has no value.
    void flag() noexcept {
        if (rest_.empty()) return fail(errc::truncated);
        if (rest_.front() != 'n' && rest_.front() != 'y') return fail(errc::bad_value);
        rest_.remove_prefix(1);
    }

    void comma() noexcept {
        if (rest_.empty()) return fail(errc::truncated);
        if (rest_.front() != ',') return fail(errc::bad_value);
        rest_.remove_prefix(1);
    }

    // Optional attributes up to the end of the text, or up to the attribute `stop`.
    std::string_view extensions(char stop = '\0') noexcept {
        const auto start = rest_;
        auto end = start.size();
        while (!rest_.empty() && error_ == errc{}) {
            const auto before = rest_.size();
            comma();
            if (stop != '\0' && key() == stop) {
                end = start.size() - before;
                break;
            }
            if (!is_letter(key())) fail(rest_.empty() ? errc::truncated : errc::bad_value);
            if (take(key()).empty()) fail(errc::bad_value);
        }
        if (error_ != errc{} || end == 0) return {};
        return start.substr(1, end - 1);
    }

    std::error_code finish() noexcept {
        if (!rest_.empty()) fail(errc::trailing_bytes);
        return error();
    }

  private:
    static bool is_letter(char c) noexcept {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    }

    std::string_view whole_;
    std::string_view rest_;
    errc error_{};
};

std::string_view take_nonce(attributes& in) noexcept {
    const auto nonce = in.take('r');
    const auto printable = [](char c) { return c >= 0x21 && c <= 0x7e; };
    if (nonce.size() > max_scram_nonce) {
        in.fail(errc::too_long);
    } else if (nonce.empty() || !std::all_of(nonce.begin(), nonce.end(), printable)) {
        in.fail(errc::bad_value);
    }
    return nonce;
}

// Any size but none when `size` is 0.
std::string_view take_base64(attributes& in, char key, std::size_t size) noexcept {
    const auto text = in.take(key);
    const auto decoded = base64_decoded_size(text);
    if (!decoded || *decoded == 0) {
        in.fail(errc::bad_value);
    } else if (size != 0 && *decoded != size) {
        in.fail(errc::bad_length);
    }
    return text;
}

// Each '=' must open "=2C" or "=3D"; upper case alone, so that write() gives the same bytes.
bool is_escaped_name(std::string_view name) noexcept {
    if (name.find(',') != std::string_view::npos) return false;
    for (auto at = name.find('='); at != std::string_view::npos; at = name.find('=', at + 1)) {
        const auto code = name.substr(at + 1, 2);
        if (code != "2C" && code != "3D") return false;
    }
    return true;
}

std::string_view take_name(attributes& in, char key) noexcept {
    const auto name = in.take(key);
    if (!is_escaped_name(name)) in.fail(errc::bad_value);
    return name;
}

void take_binding(attributes& in, scram_client_first& out) noexcept {
    out.binding = in.key();
    out.binding_name = {};
    if (out.binding == 'p') {
        out.binding_name = in.take('p');
        const auto allowed = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '.' || c == '-';
        };
        if (out.binding_name.empty() ||
            !std::all_of(out.binding_name.begin(), out.binding_name.end(), allowed)) {
            in.fail(errc::bad_value);
        }
    } else {
        in.flag();
    }
}

void write_extensions(std::string& out, std::string_view extensions) {
    if (extensions.empty()) return;
    out.push_back(',');
    out.append(extensions);
}

}  // namespace

std::error_code parse(bytes text, scram_client_first& out) noexcept {
    attributes in{text};
    take_binding(in, out);
    in.comma();
    out.authzid = {};
    if (in.key() == 'a') {
        out.authzid = take_name(in, 'a');
        if (out.authzid.empty()) in.fail(errc::bad_value);
    }
    in.comma();
    out.gs2_header = in.done();
    out.bare = in.rest();
    out.username = take_name(in, 'n');
    in.comma();
    out.nonce = take_nonce(in);
    out.extensions = in.extensions();
    return in.finish();
}

std::error_code parse(bytes text, scram_server_first& out) noexcept {
    attributes in{text};
    out.nonce = take_nonce(in);
    in.comma();
    out.salt = take_base64(in, 's', 0);
    in.comma();
    const auto digits = in.take('i');
    const auto* end = digits.data() + digits.size();
    out.iterations = 0;
    const auto [stopped, error] = std::from_chars(digits.data(), end, out.iterations);
    if (error != std::errc{} || stopped != end || digits.front() == '0' ||
        out.iterations > 0x7fffffff) {
        in.fail(errc::bad_value);
    }
    out.extensions = in.extensions();
    return in.finish();
}

std::error_code parse(bytes text, scram_client_final& out) noexcept {
    attributes in{text};
    out.channel_binding = take_base64(in, 'c', 0);
    in.comma();
    out.nonce = take_nonce(in);
    out.extensions = in.extensions('p');
    out.without_proof = in.done();
    out.proof = take_base64(in, 'p', scram_key_size);
    if (!in.error()) out.without_proof.remove_suffix(1);  // the comma before the proof
    return in.finish();
}

std::error_code parse(bytes text, scram_server_final& out) noexcept {
    attributes in{text};
    out.verifier = out.error = {};
    if (in.key() == 'e') {
        out.error = in.take('e');
        if (out.error.empty()) in.fail(errc::bad_value);
    } else {
        out.verifier = take_base64(in, 'v', scram_key_size);
    }
    out.extensions = in.extensions();
    return in.finish();
}

void write(std::string& out, const scram_client_first& m) {
    out.push_back(m.binding);
    if (m.binding == 'p') out.append("=").append(m.binding_name);
    out.push_back(',');
    if (!m.authzid.empty()) out.append("a=").append(m.authzid);
    out.append(",n=").append(m.username).append(",r=").append(m.nonce);
    write_extensions(out, m.extensions);
}

void write(std::string& out, const scram_server_first& m) {
    out.append("r=").append(m.nonce).append(",s=").append(m.salt);
    out.append(",i=").append(std::to_string(m.iterations));
    write_extensions(out, m.extensions);
}

void write(std::string& out, const scram_client_final& m) {
    out.append("c=").append(m.channel_binding).append(",r=").append(m.nonce);
    write_extensions(out, m.extensions);
    out.append(",p=").append(m.proof);
}

void write(std::string& out, const scram_server_final& m) {
    if (m.error.empty()) {
        out.append("v=").append(m.verifier);
    } else {
        out.append("e=").append(m.error);
    }
    write_extensions(out, m.extensions);
}

std::string scram_escape(std::string_view name) {
    std::string out;
    for (const char c : name) {
        if (c == ',') {
            out.append("=2C");
        } else if (c == '=') {
            out.append("=3D");
        } else {
            out.push_back(c);
        }
    }
    return out;
}

std::error_code scram_unescape(std::string_view name, std::string& out) noexcept {
    out.clear();
    if (!is_escaped_name(name)) return errc::bad_value;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] != '=') {
            out.push_back(name[i]);
        } else {
            out.push_back(name[i + 1] == '2' ? ',' : '=');
            i += 2;
        }
    }
    return {};
}

}  // namespace pgsidecar::protocol
