// connectionStrings of a web.config or app.config, or of the file that its configSource names. Read
// is XML as far as .NET's configuration files go: elements, attributes, comments, CDATA,
// instructions; a document type is refused, for its entities could stand for anything.
#include <charconv>
#include <optional>

#include "protocol/ascii.h"
#include "proxy/ops/settings_text.h"

namespace pgsidecar::ops {
namespace {

constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// "&amp;" and its like without & and ;. Empty for what only a document type could define.
std::string entity(std::string_view name) {
    if (name == "amp") return "&";
    if (name == "lt") return "<";
    if (name == "gt") return ">";
    if (name == "quot") return "\"";
    if (name == "apos") return "'";
    if (!name.starts_with('#')) return {};
    const bool hex = name.starts_with("#x");
    name.remove_prefix(hex ? 2 : 1);
    std::uint32_t c = 0;
    const auto [end, error] =
        std::from_chars(name.data(), name.data() + name.size(), c, hex ? 16 : 10);
    if (error != std::errc{} || end != name.data() + name.size() || c == 0 || c > 0x10ffff)
        return {};
    std::string out;
    append_utf8(out, c);
    return out;
}

struct attribute {
    std::string name, value;
    std::vector<std::size_t> at;
    int line = 0;
};

class xml_walker {
  public:
    explicit xml_walker(std::string_view text) : text_{text} {}

    named_strings walk() {
        if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
        while (out_.problems.empty() && (at_ = text_.find('<', at_)) != std::string_view::npos)
            markup();
        if (out_.problems.empty() && !open_.empty())
            fail(text_.size(), "ends within <" + open_.back() + ">");
        if (out_.problems.empty() && !any_) fail(0, "holds no element: it is no XML");
        if (!out_.problems.empty()) out_.found.clear();
        return std::move(out_);
    }

  private:
    void fail(std::size_t where, std::string reason) {
        out_.problems.push_back({line_at(text_, where), 0, {}, std::move(reason)});
    }
    [[nodiscard]] bool ahead(std::string_view what) const {
        return text_.substr(at_, what.size()) == what;
    }
    void skip_to(std::string_view end, const char* what) {
        const auto found = text_.find(end, at_);
        if (found == std::string_view::npos) return fail(at_, std::string{what} + " does not end");
        at_ = found + end.size();
    }
    void skip_blanks() {
        while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
    }

    void markup() {
        if (ahead("<!--")) return skip_to("-->", "a comment");
        if (ahead("<![CDATA[")) return skip_to("]]>", "a CDATA section");
        if (ahead("<?")) return skip_to("?>", "an instruction");
        if (ahead("<!")) return fail(at_, "has a document type, whose entities are not read here");
        if (ahead("</")) return end_tag();
        start_tag();
    }

    std::string name() {
        const std::size_t from = at_;
        while (at_ < text_.size() && !is_blank(text_[at_]) &&
               std::string_view{"<>/=\"'"}.find(text_[at_]) == std::string_view::npos)
            ++at_;
        return std::string{text_.substr(from, at_ - from)};
    }

    void end_tag() {
        const std::size_t from = at_;
        at_ += 2;
        const std::string closed = name();
        skip_blanks();
        if (!ahead(">")) return fail(from, "has an end tag that does not end");
        ++at_;
        if (open_.empty() || open_.back() != closed)
            return fail(from, "closes </" + protocol::printable(closed) + ">, which is not open");
        open_.pop_back();
    }

    void start_tag() {
        const std::size_t from = at_++;
        const std::string element = name();
        if (element.empty()) return fail(from, "has a < that begins no element");
        any_ = true;
        std::vector<attribute> attributes;
        for (skip_blanks(); !ahead(">") && !ahead("/>"); skip_blanks()) {
            auto one = read_attribute();
            if (!one) return;
            attributes.push_back(std::move(*one));
        }
        const bool empty = ahead("/>");
        at_ += empty ? 2 : 1;
        use(element, attributes, from);
        if (!empty) open_.push_back(element);
    }

    std::optional<attribute> read_attribute() {
        const auto wrong = [this](std::string why) {
            fail(std::min(at_, text_.size()), std::move(why));
            return std::nullopt;
        };
        attribute out;
        out.name = name();
        if (out.name.empty()) return wrong("has an element that does not end");
        skip_blanks();
        if (!ahead("=")) return wrong("has an attribute without a value");
        ++at_;
        skip_blanks();
        if (!ahead("\"") && !ahead("'")) return wrong("has an attribute without quotes");
        const char quote = text_[at_++];
        out.line = line_at(text_, at_);
        while (at_ < text_.size() && text_[at_] != quote) {
            const std::size_t start = at_;
            std::string decoded{text_[at_++]};
            if (decoded == "<") return wrong("has a < within an attribute");
            if (decoded == "&") {
                const auto end = text_.substr(at_, 12).find(';');
                decoded =
                    end == std::string_view::npos ? std::string{} : entity(text_.substr(at_, end));
                if (decoded.empty()) return wrong("has an & that begins no known entity");
                at_ += end + 1;
            } else if (is_blank(decoded[0])) {
                if (decoded == "\r" && ahead("\n")) ++at_;
                decoded = " ";  // as XML has it for attributes
            }
            out.value += decoded;
            out.at.insert(out.at.end(), decoded.size(), start);
        }
        if (at_ >= text_.size()) return wrong("has an attribute that does not end");
        out.at.push_back(at_++);
        return out;
    }

    static const attribute* find(const std::vector<attribute>& among, std::string_view called) {
        for (const auto& one : among) {
            if (one.name == called) return &one;
        }
        return nullptr;
    }

    void use(const std::string& element, std::vector<attribute>& attributes, std::size_t from) {
        if (element == "connectionStrings") {
            if (const auto* source = find(attributes, "configSource"))
                fail(from, "keeps its connection strings in another file, " +
                               protocol::printable(source->value) + ": name that one with --file");
            else if (find(attributes, "configProtectionProvider") != nullptr)
                fail(from,
                     "keeps its connection strings encrypted (configProtectionProvider): "
                     "decrypt them with aspnet_regiis -pd first");
            return;
        }
        if (element != "add" || open_.empty() || open_.back() != "connectionStrings") return;
        const auto* called = find(attributes, "name");
        const auto* text = find(attributes, "connectionString");
        if (called == nullptr || text == nullptr) return;
        named_string one{called->value, called->value, text->value, text->at, text->line};
        const auto* provider = find(attributes, "providerName");
        if (provider != nullptr && !provider->value.empty() &&
            protocol::lower_case(provider->value).find("npgsql") == std::string::npos)
            one.other_driver = "providerName is " + protocol::printable(provider->value);
        out_.found.push_back(std::move(one));
    }

    std::string_view text_;
    std::size_t at_ = 0;
    bool any_ = false;
    std::vector<std::string> open_;
    named_strings out_;
};

}  // namespace

named_strings read_web_config_strings(std::string_view text) {
    named_strings out;
    out.problems = config::unreadable(text);
    return out.problems.empty() ? xml_walker{text}.walk() : out;
}

}  // namespace pgsidecar::ops
