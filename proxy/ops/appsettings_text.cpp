// ConnectionStrings of an appsettings.json. config::read_json() has said that the text is JSON as
// .NET reads it, comments and trailing commas included; what is done here is to find the places.
#include <charconv>
#include <optional>

#include "config/json_tree.h"
#include "protocol/ascii.h"
#include "proxy/ops/settings_text.h"

namespace pgsidecar::ops {
namespace {

constexpr std::string_view section_name = "ConnectionStrings";

struct json_string {
    std::string value;
    std::vector<std::size_t> at;
};

class json_walker {
  public:
    explicit json_walker(std::string_view text) : text_{text} {}

    std::vector<named_string> walk() {
        if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
        skip_blanks();
        if (peek() == '{') object(place::root);
        return std::move(found_);
    }

  private:
    enum class place { root, section, elsewhere };

    [[nodiscard]] char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }

    void skip_blanks() {
        while (at_ < text_.size()) {
            if (text_.substr(at_, 2) == "//") {
                at_ = std::min(text_.find('\n', at_), text_.size());
            } else if (text_.substr(at_, 2) == "/*") {
                const auto end = text_.find("*/", at_ + 2);
                at_ = end == std::string_view::npos ? text_.size() : end + 2;
            } else if (std::string_view{" \t\r\n"}.find(text_[at_]) != std::string_view::npos) {
                ++at_;
            } else {
                return;
            }
        }
    }

    [[nodiscard]] std::uint32_t hex4(std::size_t at) const {
        std::uint32_t c = 0;
        const std::string_view digits = text_.substr(std::min(at, text_.size()), 4);
        std::from_chars(digits.data(), digits.data() + digits.size(), c, 16);
        return c;
    }

    void escape(json_string& out) {
        const std::size_t start = at_;
        const char what = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
        at_ += 2;
        std::string decoded;
        if (what == 'u') {
            std::uint32_t c = hex4(at_);
            at_ += 4;
            if (c >= 0xd800 && c < 0xdc00 && text_.substr(at_, 2) == "\\u") {
                c = 0x10000 + ((c - 0xd800) << 10U) + (hex4(at_ + 2) - 0xdc00);
                at_ += 6;
            }
            append_utf8(decoded, c);
        } else {
            constexpr std::string_view names = "bfnrt", means = "\b\f\n\r\t";
            const auto which = names.find(what);
            decoded = which == std::string_view::npos ? what : means[which];
        }
        out.value += decoded;
        out.at.insert(out.at.end(), decoded.size(), start);
    }

    json_string string() {
        json_string out;
        ++at_;
        while (at_ < text_.size() && text_[at_] != '"') {
            if (text_[at_] == '\\') {
                escape(out);
                continue;
            }
            out.at.push_back(at_);
            out.value += text_[at_++];
        }
        out.at.push_back(std::min(at_, text_.size()));
        ++at_;
        return out;
    }

    // The text is not deeper than config::max_json_depth.
    void value(place where) {  // NOLINT(misc-no-recursion)
        if (peek() == '{') return object(where);
        if (peek() == '"') return void(string());
        if (peek() != '[') {
            while (at_ < text_.size() &&
                   std::string_view{",}] \t\r\n/"}.find(text_[at_]) == std::string_view::npos)
                ++at_;
            return;
        }
        ++at_;
        for (skip_blanks(); at_ < text_.size() && peek() != ']'; skip_blanks()) {
            value(place::elsewhere);
            skip_blanks();
            if (peek() == ',') ++at_;
        }
        ++at_;
    }

    void object(place where) {  // NOLINT(misc-no-recursion)
        ++at_;
        for (skip_blanks(); at_ < text_.size() && peek() != '}'; skip_blanks()) {
            if (peek() != '"') return;  // config::read_json() lets no such text through
            const std::string key = string().value;
            skip_blanks();
            ++at_;  // the colon
            skip_blanks();
            member(where, key);
            skip_blanks();
            if (peek() == ',') ++at_;
        }
        ++at_;
    }

    void member(place where, const std::string& key) {  // NOLINT(misc-no-recursion)
        using protocol::same_in_any_case;
        std::optional<std::string> name;
        if (where == place::section) name = key;
        const std::size_t colon = section_name.size();
        if (where == place::root && key.size() > colon + 1 && key[colon] == ':' &&
            same_in_any_case(std::string_view{key}.substr(0, colon), section_name))
            name = key.substr(colon + 1);
        if (name && peek() == '"') {
            const int line = line_at(text_, at_);
            json_string text = string();
            found_.push_back({*name, std::string{section_name} + ":" + *name, std::move(text.value),
                              std::move(text.at), line});
            return;
        }
        value(where == place::root && same_in_any_case(key, section_name) ? place::section
                                                                          : place::elsewhere);
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::vector<named_string> found_;
};

}  // namespace

named_strings read_appsettings_strings(std::string_view text) {
    named_strings out;
    out.problems = config::read_json(text).problems;
    if (out.problems.empty()) out.found = json_walker{text}.walk();
    return out;
}

}  // namespace pgsidecar::ops
