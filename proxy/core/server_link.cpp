#include "proxy/core/server_link.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "protocol/backend.h"
#include "protocol/framer.h"

namespace pgsidecar::core {
namespace {

constexpr std::string_view prefix = "pgsidecar:";

// As a literal that means the same with standard_conforming_strings on and off.
void append_literal(std::string& out, std::string_view value) {
    out.append("E'");
    for (const char c : value) {
        if (c == '\'' || c == '\\') out.push_back(c);
        out.push_back(c);
    }
    out.push_back('\'');
}

bool is_identity(std::string_view name) {
    return name == "role" || name == "session_authorization";
}

// What is set by these ends with the transaction, and they may only be set at its beginning.
bool is_of_transaction(std::string_view name) {
    return name == "transaction_isolation" || name == "transaction_read_only" ||
           name == "transaction_deferrable";
}

// No value: as RESET, which however cuts a name at 63 bytes and then means another setting.
void append_call(std::string& to, std::string_view name, const std::string* value) {
    to.append(to.empty() ? "SELECT " : ",").append("pg_catalog.set_config(");
    append_literal(to, name);
    to.push_back(',');
    if (value)
        append_literal(to, *value);
    else
        to.append("NULL");
    to.append(",false)");
}

}  // namespace

std::string server_statements::name_of(std::uint32_t number) {
    return std::string{prefix} + std::to_string(number);
}

bool server_statements::is_ours(std::string_view name) noexcept { return name.starts_with(prefix); }

bool server_statements::key::operator==(const key& other) const noexcept {
    const auto& mine = *definition;
    const auto& its = *other.definition;
    const bool same =
        &mine == &its || (mine.hash == its.hash && mine.version == its.version &&
                          mine.definitions == its.definitions && mine.types == its.types &&
                          mine.text && its.text && mine.text->sql == its.text->sql);
    return same && (read_by == other.read_by || (!read_by->empty() && *read_by == *other.read_by));
}

std::optional<std::uint32_t> server_statements::find(const prepared_ptr& definition,
                                                     const shared_text& read_by,
                                                     std::uint32_t batch) {
    const auto it = known_.find({definition.get(), read_by.get()});
    if (it == known_.end()) return std::nullopt;
    if (it->second->batch != 0 && it->second->batch != batch) return std::nullopt;
    by_use_.splice(by_use_.begin(), by_use_, it->second);
    return it->second->number;
}

std::uint32_t server_statements::add(prepared_ptr definition, shared_text read_by,
                                     std::uint32_t batch) {
    const auto number = next_++;
    const key k{definition.get(), read_by.get()};
    by_use_.push_front({std::move(definition), std::move(read_by), number, batch, nullptr});
    known_.erase(k);  // its key is what another item holds
    known_.emplace(k, by_use_.begin());
    return number;
}

std::list<server_statements::item>::iterator server_statements::at(std::uint32_t number) {
    return std::find_if(by_use_.begin(), by_use_.end(),
                        [&](const item& one) { return one.number == number; });
}

void server_statements::confirm(std::uint32_t number) {
    if (const auto it = at(number); it != by_use_.end()) it->batch = 0;
}

// Another one may have come in its place.
void server_statements::forget(std::list<item>::iterator it) {
    const auto known = known_.find({it->definition.get(), it->read_by.get()});
    if (known != known_.end() && known->second == it) known_.erase(known);
    by_use_.erase(it);
}

void server_statements::remove(std::uint32_t number) {
    if (const auto it = at(number); it != by_use_.end()) forget(it);
}

description_ptr server_statements::description(std::uint32_t number) {
    const auto it = at(number);
    return it == by_use_.end() ? nullptr : it->description;
}

void server_statements::describe(std::uint32_t number, description_ptr as) {
    if (const auto it = at(number); it != by_use_.end()) it->description = std::move(as);
}

void server_statements::clear() {
    known_.clear();
    by_use_.clear();
}

std::optional<std::uint32_t> server_statements::take_excess(std::size_t most) {
    if (by_use_.size() <= most) return std::nullopt;
    const auto number = by_use_.back().number;
    forget(std::prev(by_use_.end()));
    return number;
}

bool server_link::report(std::string_view name, std::string_view value) {
    if (const auto it = reported->find(name); it != reported->end() && it->second == value)
        return false;
    auto now = std::make_shared<session_settings::values>(*reported);
    now->insert_or_assign(std::string{name}, std::string{value});
    reported = std::move(now);
    return true;
}

bool server_link::take_idle(std::string_view bytes) {
    while (!bytes.empty()) {
        protocol::frame f;
        std::error_code error;
        if (protocol::next(bytes, f, error) != protocol::peek_result::ok) return false;
        protocol::parameter_status m;
        if (f.type == 'S' && !protocol::parse(f.body, m)) {
            // Set for the whole server: what was prepared before was read by what was before.
            if (report(m.name, m.value)) statements.clear();
        } else if (f.type != 'N') {
            return false;
        }
        bytes.remove_prefix(f.whole.size());
    }
    return true;
}

std::string make_known(const std::vector<std::string_view>& names) {
    static const std::string nothing;
    std::string out;
    for (const auto name : names) {
        append_call(out, name, &nothing);
        append_call(out, name, nullptr);
    }
    return out;
}

restoring restore_settings(const session_settings::values& is,
                           const session_settings::values& wanted) {
    restoring out;
    if (is == wanted) return out;
    // What only a superuser may set is set by who logged in; the role is taken on again at the end.
    if (is.contains("session_authorization")) out.rest.append("RESET SESSION AUTHORIZATION;");
    if (is.contains("role")) out.rest.append("RESET ROLE;");
    std::string set;
    const auto is_apart = [](std::string_view name) {
        return is_identity(name) || is_of_transaction(name);
    };
    for (const auto& [name, value] : is) {
        if (wanted.contains(name) || is_apart(name)) continue;
        append_call(name == "client_encoding" ? out.first : set, name, nullptr);
    }
    for (const auto& [name, value] : wanted) {
        const auto it = is.find(name);
        if (is_apart(name) || (it != is.end() && it->second == value)) continue;
        append_call(name == "client_encoding" ? out.first : set, name, &value);
    }
    if (!set.empty()) out.rest.append(set).append(";");
    for (const std::string_view name : {"session_authorization", "role"}) {
        const auto it = wanted.find(name);
        if (it == wanted.end()) continue;
        std::string one;
        append_call(one, name, &it->second);
        out.rest.append(one).append(";");
    }
    return out;
}

}  // namespace pgsidecar::core
