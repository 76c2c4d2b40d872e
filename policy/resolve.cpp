#include "policy/resolve.h"

#include <algorithm>
#include <cstddef>

namespace pgsidecar::policy {
namespace {

bool is_blank(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

char fold(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// One element at `at`, quoted or not; false when malformed.
bool parse_element(std::string_view text, std::size_t& at, std::string& out) {
    if (text[at] != '"') {
        while (at < text.size() && text[at] != ',' && !is_blank(text[at])) {
            // A letter beyond ASCII folds by the server's locale, in single-byte encodings.
            if (static_cast<unsigned char>(text[at]) >= 0x80) return false;
            out.push_back(fold(text[at++]));
        }
        return !out.empty();
    }
    for (++at; at < text.size(); ++at) {
        if (text[at] != '"') {
            out.push_back(text[at]);
        } else if (at + 1 < text.size() && text[at + 1] == '"') {
            out.push_back(text[++at]);
        } else {
            ++at;
            return true;
        }
    }
    return false;
}

}  // namespace

std::optional<std::vector<std::string>> parse_search_path(std::string_view text) {
    std::vector<std::string> elements;
    std::size_t at = 0;
    const auto skip_blanks = [&] {
        while (at < text.size() && is_blank(text[at])) ++at;
    };
    skip_blanks();
    if (at == text.size()) return elements;
    for (;;) {
        std::string element;
        if (at == text.size() || !parse_element(text, at, element)) return std::nullopt;
        // Identifiers are cut at 63 bytes; one that long and longer is rare enough to refuse.
        if (element.size() > 63) return std::nullopt;
        elements.push_back(std::move(element));
        skip_blanks();
        if (at == text.size()) return elements;
        if (text[at++] != ',') return std::nullopt;
        skip_blanks();
    }
}

name_path::name_path(const catalog& snapshot, std::string_view search_path, std::string_view role)
    : snapshot_{&snapshot}, text_{search_path}, role_{role} {
    const auto elements = parse_search_path(search_path);
    known_ = elements && !elements->empty();
    if (!known_) return;
    const auto add = [&](std::string_view name) {
        const auto* schema = snapshot.find_schema(name);
        if (schema != nullptr && !holds(name)) {
            schemas_.push_back({schema, snapshot.surely_usable(*schema, role)});
        }
    };
    if (std::ranges::find(*elements, "pg_catalog") == elements->end()) add("pg_catalog");
    for (const auto& element : *elements) add(element == "$user" ? role : element);
}

bool name_path::holds(std::string_view schema) const noexcept {
    return std::ranges::any_of(schemas_, [&](const entry& e) { return e.schema->name == schema; });
}

bool name_path::reaches(const qualified_name& name, std::string_view schema) const noexcept {
    return name.schema.empty() ? !known_ || holds(schema) : name.schema == schema;
}

std::vector<const relation*> name_path::find(const qualified_name& name) const {
    std::vector<const relation*> found;
    if (!name.schema.empty()) {
        if (const auto* r = snapshot_->find(name.schema, name.name)) found.push_back(r);
        return found;
    }
    for (const auto& e : schemas_) {
        const auto* r = snapshot_->find(e.schema->name, name.name);
        if (r == nullptr) continue;
        found.push_back(r);
        if (e.sure) break;
    }
    return found;
}

std::vector<const function_info*> name_path::find_functions(const qualified_name& name) const {
    std::vector<const function_info*> found;
    for (const auto* f : snapshot_->functions_named(name.name)) {
        if (reaches(name, f->schema)) found.push_back(f);
    }
    return found;
}

path_set::path_set(const catalog& snapshot, const session_scope& scope)
    : snapshot_{snapshot}, printed_{snapshot, "pg_catalog", {}} {
    paths_.emplace_back(snapshot, scope.search_path, scope.current_role);
}

const name_path& path_set::inside(const function_info& f, const name_path& running) {
    const std::string& text = f.search_path ? *f.search_path : running.text();
    const std::string& role = f.definer ? f.owner : running.role();
    const auto known = std::ranges::find_if(
        paths_, [&](const name_path& path) { return path.text() == text && path.role() == role; });
    if (known != paths_.end()) return *known;
    return paths_.emplace_back(snapshot_, text, role);
}

}  // namespace pgsidecar::policy
