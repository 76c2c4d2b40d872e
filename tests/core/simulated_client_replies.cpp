// What a client of the simulation is told, and whether that can be.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "protocol/framer.h"
#include "protocol/notice.h"
#include "tests/core/simulated_client.h"

namespace core_test {
namespace {

using kind = statement::kind;

constexpr std::string_view unconfirmed = "The server has not confirmed it";

}  // namespace

void simulated_client::receive(std::string_view bytes) {
    in_.append(bytes);
    protocol::frame f;
    std::error_code error;
    const auto epoch = epoch_;
    while (epoch == epoch_) {
        const auto found = protocol::next(in_, f, error);
        if (found == protocol::peek_result::bad) world_.violate("malformed frame");
        if (found != protocol::peek_result::ok) return;
        const std::string body{f.body};
        const auto type = f.type;
        in_.erase(0, f.whole.size());
        on_frame(type, body);
    }
}

void simulated_client::on_frame(char type, std::string_view body) {
    if (type == 'S') {
        protocol::parameter_status m;
        if (protocol::parse(body, m)) return world_.violate("malformed ParameterStatus");
        told_.insert_or_assign(std::string{m.name}, std::string{m.value});
        return;
    }
    if (!logged_in_) {
        if (type == 'E') on_refused_login(body);
        if (type != 'Z') return;
        logged_in_ = true;
        check_told();
        return act_later();
    }
    if (type == 'E') return on_error(body);
    if (type == 'N') return on_notice(body);
    if (expected_.empty()) return world_.violate("a frame that nothing asked for: " + show(in_));
    auto& r = expected_.front();
    if (r.rest.starts_with('*')) {
        if (type == 'D') return on_row(r, body);
        if (type == 's') return world_.violate("suspended, unasked");
        r.rest.erase(0, 1);
    }
    if (r.rest.empty() || r.rest[0] != type)
        return world_.violate("frame "s + type + " instead of " + r.rest + " for " + r.what.sql());
    r.rest.erase(0, 1);
    note_step(r, type, body);
    if (type == 'C') on_complete(r);
    if (type == 'Z')
        on_ready(body[0]);
    else if (r.rest.empty())
        expected_.pop_front();
}

void simulated_client::on_refused_login(std::string_view body) {
    protocol::error_response m;
    if (protocol::parse(body, m)) return world_.violate("malformed error");
    if (!connection_->server_cut && !is_of_pool(m, {}))
        world_.violate("log-in refused: " + std::string{m.message()});
}

// A message that answers one of the extended protocol.
void simulated_client::note_step(const request& r, char type, std::string_view body) {
    const bool named = r.statement_name == "s";
    if (type == '2' && named && !names_.contains("s"))
        return world_.violate("bound to a statement that is not there");
    if (type == '3') names_.erase(r.statement_name);
    if (type == 't') check_types(body);
    if (type != '1' || !named) return;
    if (!names_.emplace("s").second) world_.violate("prepared twice");
    type_ = transaction_.parameter_type();
}

// A limit that warns, or that has cut a page.
void simulated_client::on_notice(std::string_view body) {
    protocol::notice_response m;
    if (protocol::parse(body, m)) return world_.violate("malformed notice");
    if (!world_.limits() || m.message().find(" of tenant \"") == std::string_view::npos)
        return world_.violate("an unasked notice: " + std::string{m.message()});
    if (m.message().starts_with("answer cut at default_page_size")) {
        if (!world_.limits()->cuts_pages || expected_.empty() || !expected_.front().what.reads())
            return world_.violate("a cut page");
        expected_.front().page_cut = true;
    }
}

void simulated_client::on_fatal(const protocol::error_response& m) {
    if (connection_->server_cut) return;
    if (connection_->restore_refused &&
        m.message().find("settings of this session could not be restored") !=
            std::string_view::npos)
        return;
    const bool lost_touch =
        m.message() == "the server does not react" ||
        m.message().find("otherwise than its client was told") != std::string_view::npos;
    const auto* limits = world_.limits();
    if (!lost_touch || !limits || connection_->own_cancels == 0)
        return world_.violate("ended: " + std::string{m.message()});
    ++world_.report().given_up;
}

void simulated_client::on_error(std::string_view body) {
    protocol::error_response m;
    if (protocol::parse(body, m)) return world_.violate("malformed error");
    if (m.severity() == "FATAL") return on_fatal(m);
    if (expected_.empty()) return world_.violate("an error that nothing asked for");
    auto& r = expected_.front();
    const auto code = m.sqlstate();
    const auto cancels_before = fresh_block_ ? cancels_before_block_ : r.cancels_before;
    const bool due = (code == "57014" && cancels_ > cancels_before) ||
                     (code == "25P02" && transaction_.status() == 'E') ||
                     (code == "22012" && r.what.what == kind::divide_by_zero) ||
                     is_of_names(code, r) || (world_.pool() && is_of_pool(m, r));
    const bool limited = world_.limits() && is_of_limit(m, r);
    // A batch may fail behind its last statement's end, and only once; a simple query may not.
    const bool late = r.rest == "Z" && (!limited || !r.extended || r.failed);
    if ((!due && !limited) || late)
        return world_.violate("error " + std::string{code} + " for " + r.what.sql() + ": " +
                              std::string{m.message()} + (late ? ", behind its end" : ""));
    if (world_.pool() && is_of_pool(m, r)) ++world_.report().refused;
    refused(r, limited ? m.detail() : std::string_view{});
    fresh_block_ = false;
    if (!names_.contains("s") || r.parses) unnamed_ = false;
    while (!expected_.front().last) expected_.pop_front();
    expected_.front().rest = "Z";
    expected_.front().failed = true;
}

// Does the limit that the error names explain it?
bool simulated_client::is_of_limit(const protocol::error_response& m, const request& r) const {
    const auto& limits = *world_.limits();
    const auto& tier = limits.tier();
    const auto text = m.message();
    const auto code = m.sqlstate();
    // Meant for another request of the same pipeline.
    if (code == "57014" && text == "refused" && connection_->own_cancels > r.own_cancels_before)
        return true;
    const auto at = text.find(" of tenant \"");
    if (at == std::string_view::npos) return false;
    const auto who = text.substr(at + 12, text.size() - at - 13);
    if (limits.by_startup ? who != connection_->passed.tenant
                          : who != "default" && !std::ranges::count(model_database::tenants, who))
        return false;
    const auto is = [&](std::string_view sqlstate, std::string_view what, bool possible) {
        return code == sqlstate && text.starts_with(what) && possible;
    };
    bool counts = false;
    for (const auto& x : expected_) {
        counts = counts || x.what.counts();
        if (x.last) break;
    }
    const bool begins = counts || r.what.what == kind::begin || fresh_block_;
    return is("55P03", "over queries_per_minute",
              counts && limits.enforced(tier.queries_per_minute_mode)) ||
           is("55P03", "no place within max_concurrent of",
              begins && !limits.waits_for_ever() && limits.enforced(tier.max_concurrent_mode)) ||
           is("55P03", "no place within max_concurrent_requests of",
              begins && !limits.waits_for_ever() && limits.options.max_concurrent_requests > 0) ||
           is("57014", "canceling statement due to query_timeout",
              limits.enforced(tier.query_timeout_mode)) ||
           is("54000", "result exceeds max_result_rows",
              r.what.returns_rows() && limits.enforced(tier.max_result_rows_mode)) ||
           is("54000", "result exceeds max_result_bytes",
              r.what.returns_rows() && limits.enforced(tier.max_result_bytes_mode));
}

// What becomes of the writes of the request that failed, and of those around it.
void simulated_client::refused(const request& r, std::string_view detail) {
    const bool kept = detail.find("What it wrote is kept.") != std::string_view::npos;
    const bool unsure = detail.find("what it writes may be kept") != std::string_view::npos;
    world_.report().kept += kept ? 1U : 0U;
    world_.report().unconfirmed += detail.find(unconfirmed) != std::string_view::npos ? 1U : 0U;
    if (kept) {
        if (transaction_.status() != 'I' || !r.what.writes())
            return world_.violate("kept, it says: " + r.what.sql());
        transaction_.begin(true);
        return transaction_.apply(r.what);
    }
    for (const auto& x : expected_) {
        add_values(x.what);
        if (x.last) break;
    }
    const bool block = transaction_.status() != 'I' && !transaction_.implicit();
    transaction_.fail();
    if (block) return;
    if (unsure) {
        open_values_.clear();
        // Its settings and statements may be any: no client goes on with such a session.
        if (!r.what.reads() && !r.what.writes()) leaving_ = true;
    }
    forget_values({});
}

void simulated_client::add_values(const statement& s) {
    const int count = !s.writes() ? 0 : s.what == kind::update_all ? model_database::rows : 1;
    for (int i = 0; i < count; ++i) open_values_.push_back(s.value + i);
}

// The transaction is over, and these alone are of its values.
void simulated_client::forget_values(const std::map<std::string, long>& committed) {
    for (const auto value : std::exchange(open_values_, {}))
        if (std::ranges::none_of(committed, [&](auto& x) { return x.second == value; }))
            world_.forbid(value);
}

void simulated_client::commit() {
    const auto writes = transaction_.commit();
    world_.acknowledge(writes);
    for (const auto& [row, value] : writes)
        if (const auto* place = world_.database().find(value)) seen_[row] = place->at;
    forget_values(writes);
}

void simulated_client::on_ready(char status) {
    if (transaction_.implicit()) commit();
    // A BEGIN that did not get through, by the extended protocol: the block has failed.
    const auto& done = expected_.front();
    if (done.failed && done.what.what == kind::begin && status == 'E') {
        if (transaction_.status() == 'I') transaction_.begin(false);
        transaction_.fail();
    }
    if (status != transaction_.status())
        world_.violate("status "s + status + " instead of " + transaction_.status());
    check_told();
    expected_.pop_front();
    if (leaving_) {
        world_.leave(*connection_);
        return forget();
    }
    if (expected_.empty()) act_later();
}

void simulated_client::check_rows(const request& r) {
    const auto what = r.what.what;
    const bool all = what == kind::select_all || what == kind::update_all;
    const bool one = what == kind::select_kv || what == kind::execute || r.what.returns_one();
    if (one && r.rows != 1) world_.violate("a row is missing");
    if (what == kind::select_notes && (r.rows == 0) != transaction_.tenant().empty())
        world_.violate("a note is missing");
    if (all && r.rows != (r.page_cut ? 1U : std::size_t{model_database::rows}))
        world_.violate(std::to_string(r.rows) + " rows for " + r.what.sql());
    const auto* limits = world_.limits();
    if (limits && limits->enforced(limits->tier().max_result_rows_mode) &&
        r.rows > limits->tier().max_result_rows)
        world_.violate("more rows than max_result_rows");
}

void simulated_client::on_complete(request& r) {
    check_rows(r);
    fresh_block_ = false;
    switch (r.what.what) {
        case kind::begin:
            fresh_block_ = transaction_.status() == 'I';
            cancels_before_block_ = r.cancels_before;
            return transaction_.begin(false);
        case kind::rollback:
            transaction_.rollback();
            return forget_values({});
        case kind::commit:
            if (transaction_.status() != 'E') return commit();
            transaction_.rollback();
            return forget_values({});
        default:
            note_names(r.what);
    }
    if (transaction_.status() == 'I') transaction_.begin(true);
    transaction_.apply(r.what);
    add_values(r.what);
    if (!r.extended && transaction_.implicit()) commit();
}

void simulated_client::on_row(request& r, std::string_view body) {
    protocol::data_row row;
    const bool many = r.what.what == kind::select_all || r.what.what == kind::update_all;
    const auto most = many ? std::size_t{model_database::rows} : std::size_t{1};
    if (protocol::parse(body, row) || row.columns.count() != 1 || r.rows >= most)
        return world_.violate("malformed row");
    const auto id = std::to_string(r.rows++);
    std::string text{(*row.columns.begin()).value_or("")};
    if (r.what.what == kind::select_notes) {
        const auto mine = transaction_.tenant() + "#";
        if (!text.starts_with(mine))
            return world_.violate("tenant " + transaction_.tenant() + " reads " + text);
        text.erase(0, mine.size());
    }
    if (r.what.returns_one()) {
        if (text != r.what.name) world_.violate("'" + text + "' for " + r.what.sql());
        return;
    }
    const auto value = std::atol(text.c_str());
    if (r.what.what == kind::update_all) {
        if (value != r.what.value + std::atol(id.c_str())) world_.violate("another row returned");
        return;
    }
    check_value(r, many ? transaction_.kv() + id : transaction_.row_of(r.what), value);
}

void simulated_client::check_value(request& r, const std::string& row, long value) {
    if (const auto own = transaction_.written(row)) {
        if (*own != value) world_.violate("own write not seen in " + row);
        return;
    }
    const auto* place = world_.database().find(value);
    if (!place || place->row != row)
        return world_.violate("never committed: " + row + " = " + std::to_string(value));
    if (place->at < r.floors[row])
        world_.violate("stale: " + row + " is " + std::to_string(r.floors[row] - place->at) +
                       " acknowledged writes behind");
    auto& seen = seen_[row];
    if (place->at < seen)
        world_.violate("a step back of " + std::to_string(seen - place->at) + " in " + row);
    seen = std::max(seen, place->at);
}

}  // namespace core_test
