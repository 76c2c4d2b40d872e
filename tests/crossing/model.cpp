#include "model.h"

#include <utility>

namespace pgsidecar::crossing {

std::string_view name_of(setting s) {
    constexpr std::array<std::string_view, setting_count> names{
        "app.tenant_id", "search_path",        "role",         "TimeZone",
        "DateStyle",     "extra_float_digits", "bytea_output", "application_name"};
    return names[static_cast<std::size_t>(s)];
}

void model::log_in(party user, values defaults) {
    *this = {};
    user_ = user;
    defaults_ = std::move(defaults);
    now_.kept = now_.now = defaults_;
}

void model::set(setting s, std::string word, bool local) {
    if (local && saved_.empty()) return;
    if (!local) now_.kept[at(s)] = word;
    now_.now[at(s)] = std::move(word);
}

void model::reset_all() {
    for (std::size_t i = 0; i < setting_count; ++i)
        if (i != at(setting::role)) now_.kept[i] = now_.now[i] = after_reset(i);
}

void model::discard_all() {
    reset_all();
    reset(setting::role);
    now_.temporary.clear();
    statements.clear();
    sql_statements.clear();
}

void model::begin(bool implicit) {
    saved_.assign(1, now_);
    if (!implicit) status_ = 'T';
    last_locked_ = 0;
}

std::vector<uncommitted> model::commit() {
    now_.now = now_.kept;
    now_.written = 0;
    saved_.clear();
    status_ = 'I';
    last_locked_ = 0;
    return std::exchange(written_, {});
}

void model::roll_back() {
    now_ = saved_.front();
    saved_.clear();
    written_.clear();
    status_ = 'I';
    last_locked_ = 0;
}

void model::roll_back_to(std::size_t n) {
    now_ = saved_[n + 1];
    saved_.resize(n + 2);
    written_.resize(now_.written);
    status_ = 'T';
}

// The server forgets at once what the innermost transaction did.
void model::fail() {
    now_ = saved_.back();
    written_.resize(now_.written);
    status_ = 'E';
}

party model::by_role() const {
    const auto& role = get(setting::role);
    return role == "none" ? user_ : party_of(role);
}

party model::by_path() const {
    const auto& path = get(setting::path);
    if (path == default_path) {
        const auto role = by_role();
        return role < nobody ? role : nobody;
    }
    return party_of(std::string_view{path}.substr(0, path.find(',')));
}

party model::of(table t) const {
    switch (t) {
        case table::visit:
            return by_setting();
        case table::item:
            return by_path();
        case table::chart:
            return by_role();
    }
    return no_party;
}

void model::wrote(std::size_t where, counter now) {
    last_locked_ = where;
    written_.push_back({where, std::move(now)});
    now_.written = written_.size();
}

counter model::own(std::size_t where) const {
    for (auto it = written_.rbegin(); it != written_.rend(); ++it)
        if (it->where == where) return it->now;
    return nullptr;
}

}  // namespace pgsidecar::crossing
