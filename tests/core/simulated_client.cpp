#include "tests/core/simulated_client.h"

namespace core_test {
namespace {

using kind = statement::kind;

statement of(kind what, std::string name = {}) {
    statement s;
    s.what = what;
    s.name = std::move(name);
    return s;
}

std::string bind_values(std::string_view name, const std::vector<std::string>& values) {
    return bind(name, {values.begin(), values.end()});
}

}  // namespace

void simulated_client::connect() {
    connection_ = &world_.open(*this);
    if (world_.pool()) return connect_pooled();
    if (!world_.limits() || !world_.limits()->by_startup)
        return world_.send(*connection_, client_startup());
    connection_->passed.tenant = model_database::tenants[world_.luck().below(3)];
    world_.send(*connection_, client_startup({{"pgsidecar.tenant", connection_->passed.tenant}}));
}

void simulated_client::forget() {
    ++epoch_;
    in_.clear();
    expected_.clear();
    seen_.clear();
    transaction_ = {};
    open_values_.clear();
    names_.clear();
    told_.clear();
    logged_in_ = unnamed_ = cancelling_ = leaving_ = tainted_ = was_tainted_ = fresh_block_ = false;
    connection_ = nullptr;
    if (world_.over()) return;
    world_.after(100, [this] {
        if (!connection_ && !world_.over()) connect();
    });
}

void simulated_client::lost() { forget(); }

// What a connection suffers at any moment.
void simulated_client::cause_trouble() {
    auto& luck = world_.luck();
    const auto here = [this, epoch = epoch_](auto what) {
        world_.after(60, [this, epoch, what] {
            if (epoch == epoch_) what();
        });
    };
    if (luck.one_in(120)) here([this] { world_.cut_server(*connection_); });
    if (luck.one_in(120)) {
        here([this] {
            world_.leave(*connection_);
            forget();
        });
    }
    if (cancelling_ || !luck.one_in(20)) return;
    cancelling_ = true;
    ++cancels_;
    world_.cancel(*connection_, [this, epoch = epoch_] {
        if (epoch == epoch_) cancelling_ = false;
    });
}

statement simulated_client::choose(bool in_block) {
    auto& luck = world_.luck();
    if (world_.pool() && luck.one_in(4)) return choose_pooled(in_block);
    statement s;
    s.id = static_cast<int>(luck.below(model_database::rows));
    const auto dice = luck.below(100);
    if (dice < 55) return s;
    s.what = dice < 70 ? kind::select_notes : dice < 88 ? kind::update_kv : kind::update_notes;
    if (s.writes() && world_.calm() && !luck.one_in(6)) s.what = kind::select_kv;
    if (world_.limits() && dice < 88 && luck.one_in(8))
        s.what = s.writes() ? kind::update_all : kind::select_all;
    if (s.writes()) s.value = world_.fresh_value();
    if (s.what == kind::update_all)
        for (int id = 1; id < model_database::rows; ++id) (void)world_.fresh_value();
    if (dice < 94) return s;
    const std::string tenant{model_database::tenants[luck.below(3)]};
    switch (luck.below(in_block ? 7 : 4)) {
        case 0:
            return of(kind::set_tenant, tenant);
        case 1:
            if (in_block && world_.pool() && follows_tenant()) return of(kind::select_one);
            return of(kind::reset_tenant);
        case 2:
            return of(luck.one_in(10) ? kind::alter : kind::set_tenant, tenant);
        case 3:
            return of(kind::divide_by_zero);
        case 4:
            return of(kind::set_tenant_local, tenant);
        case 5:
            return of(kind::savepoint, luck.one_in(2) ? "p" : "q");
        default:
            return of(kind::set_tenant_local, tenant);
    }
}

void simulated_client::expect(request r) {
    r.cancels_before = cancels_;
    r.own_cancels_before = connection_->own_cancels;
    for (int id = 0; id < model_database::rows && r.what.reads(); ++id)
        for (const auto table : {"kv/", "bob.kv/"}) {
            const auto row = table + std::to_string(id);
            r.floors[row] = world_.acknowledged(row);
        }
    for (const auto tenant : model_database::tenants) {
        const auto row = "notes/" + std::string{tenant};
        if (r.what.what == kind::select_notes) r.floors[row] = world_.acknowledged(row);
    }
    if (r.what.what == kind::close_prepared || r.what.what == kind::describe_prepared) {
        r.rest = r.what.what == kind::close_prepared ? "3Z" : "tTZ";
        return expected_.push_back(std::move(r));
    }
    const std::string_view rows = r.what.returns_rows() ? "*" : "";
    const std::string description = r.what.returns_rows() ? "T" : r.extended ? "n" : "";
    r.rest = (r.parses ? "1"s : ""s) + (r.extended ? "2" : "") +
             (r.described || !r.extended ? description : ""s);
    r.rest.append(rows).append("C").append(r.last ? "Z" : "");
    expected_.push_back(std::move(r));
}

void simulated_client::add_simple(std::string& out, const statement& s) {
    unnamed_ = false;
    out += query(s.sql());
    expect({.what = s});
}

void simulated_client::add_extended(std::string& out, const statement& s, bool last) {
    std::vector<std::string> values;
    const auto sql = s.sql(&values);
    const bool named = names_.contains("s") && s.what == kind::select_kv;
    const bool described = world_.luck().one_in(2);
    if (!named) {
        unnamed_ = false;
        out += parse("", sql);
    }
    out += bind_values(named ? "s" : "", values);
    if (described) out += describe_portal();
    out += execute();
    if (last) out += sync_now();
    request r{.what = s, .extended = true, .parses = !named, .described = described, .last = last};
    r.statement_name = named ? "s" : "";
    expect(std::move(r));
}

void simulated_client::add_any(std::string& out, const statement& s) {
    world_.luck().one_in(2) ? add_simple(out, s) : add_extended(out, s, true);
}

// One read by a statement that is prepared for later, or was before.
void simulated_client::add_lone_read(std::string& out) {
    statement s;
    s.id = static_cast<int>(world_.luck().below(model_database::rows));
    std::vector<std::string> values;
    const auto sql = s.sql(&values);
    const bool named = world_.luck().one_in(2);
    const bool known = named ? names_.contains("s") : unnamed_;
    const std::string_view name = named ? "s" : "";
    if (!known) out += parse(name, sql);
    out += bind_values(name, values) + describe_portal() + execute() + sync_now();
    request r{.what = s, .extended = true, .parses = !known, .described = true};
    r.statement_name = named ? "s" : "";
    if (!named) unnamed_ = true;
    expect(std::move(r));
}

void simulated_client::add_block(std::string& out) {
    add_any(out, of(kind::begin));
    for (auto n = 1 + world_.luck().below(3); n-- > 0;) {
        auto s = choose(true);
        if (s.what == kind::alter) s.what = kind::select_kv;
        add_any(out, s);
    }
    add_any(out, of(world_.luck().one_in(4) ? kind::rollback : kind::commit));
}

void simulated_client::act() {
    if (!logged_in_ || !expected_.empty()) return;
    if (cancelling_) return act_later();
    auto& luck = world_.luck();
    if (world_.over()) {
        world_.send(*connection_, terminate());
        world_.leave(*connection_);
        return forget();
    }
    world_.count_step();
    std::string out;
    const auto dice = luck.below(100);
    if (transaction_.status() != 'I') {
        add_control(out);
    } else if (world_.pool() && luck.one_in(3)) {
        add_pooled(out);
    } else if (dice < 40) {
        add_any(out, choose(false));
    } else if (dice < 60) {
        add_lone_read(out);
    } else if (dice < 72) {
        for (auto n = 2 + luck.below(3); n-- > 0;) add_any(out, choose(false));
    } else if (dice < 78) {
        add_block(out);
    } else if (dice < 85) {
        for (auto n = 1 + luck.below(3); n-- > 0;) {
            auto s = choose(false);
            if (!s.reads() && !s.writes()) s = {};
            add_extended(out, s, n == 0);
        }
    } else if (dice < 92) {
        add_any(out, of(kind::begin));
    } else if (dice < 95) {
        add_simple(out, of(kind::discard_all));
    } else {
        add_any(out, of(kind::set_tenant, std::string{model_database::tenants[luck.below(3)]}));
    }
    world_.send(*connection_, out);
    cause_trouble();
}

// While a block is open.
void simulated_client::add_control(std::string& out) {
    auto& luck = world_.luck();
    const auto dice = luck.below(100);
    const char* name = luck.one_in(2) ? "p" : "q";
    if (transaction_.status() == 'E') {
        const bool back = transaction_.has_savepoint() && luck.one_in(2);
        return add_any(out, dice < 20 ? choose(false)
                            : back    ? of(kind::rollback_to, name)
                                      : of(dice < 40 ? kind::commit : kind::rollback));
    }
    const bool back = transaction_.has_savepoint() && luck.one_in(4);
    add_any(out, back        ? of(luck.one_in(3) ? kind::release : kind::rollback_to, name)
                 : dice < 70 ? choose(true)
                             : of(dice < 90 ? kind::commit : kind::rollback));
}

}  // namespace core_test
