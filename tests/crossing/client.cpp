#include "client.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace pgsidecar::crossing {

client::client(run_state& run, world& all, int number)
    : run_{run},
      world_{all},
      number_{number},
      dice_{run.opt.seed * 1'000'003U + static_cast<std::uint64_t>(number)} {
    begin();
}

void client::begin() {
    ++connection_;
    expected_.clear();
    flow_ = flow::single;
    implicit_ = flow_failed_ = unsynced_ = leaving_ = broken_ = false;
    script_.clear();
    acknowledges_.clear();
    nothing_held();
    familiar_left_ = 0;
    unnamed_ = nothing_to_do;
    channel_ = no_party;
    took_number_ = false;
    if (run_.stopping) {
        wire_.close();
        finished_ = true;
        return;
    }
    const bool desk = dice_.chance(6);
    model::values defaults{"", std::string{default_path}, "none", "UTC", "ISO, MDY", "1", "hex",
                           ""};
    wire::settings parameters{{"user", desk ? "desk" : "app"}, {"database", "postgres"}};
    const auto start = [&](setting s, std::string word) {
        defaults[static_cast<std::size_t>(s)] = std::move(word);
    };
    if (dice_.chance(50)) {
        start(setting::application,
              dice_.chance(50) ? "clerk" : "round " + std::to_string(number_));
        parameters.emplace_back("application_name", defaults.back());
    }
    home_ = party_of(some_tenant());
    // Each such start is a pool of its own: few, and of few kinds.
    if (!desk && dice_.chance(4)) {
        const auto tenant = party_name(dice_.below(3));
        start(setting::tenant, tenant);
        auto words = "-c app.tenant_id=" + tenant;
        if (dice_.chance(30)) {
            start(setting::path, tenant + ",public");
            words += " -c search_path=" + tenant + ",public";
        }
        parameters.emplace_back("options", words);
    } else if (dice_.chance(5)) {
        start(setting::zone, world::zones[1]);
        parameters.emplace_back("TimeZone", world::zones[1]);
    }
    model_.log_in(first_user + (desk ? 1 : 0), std::move(defaults));
    told_zone_.clear();
    told_style_.clear();
    told_application_.clear();
    note(kind::connect, parameters.back().first + '=' + parameters.back().second);
    if (!wire_.connect(run_.opt.port)) return mismatch(kind::connect, "cannot connect");
    wire_.start_up(parameters);
    expect(part::log_in, kind::connect);
    close_round(kind::connect);
}

void client::on_event(bool readable) {
    if (finished_) return;
    const bool open = !readable || wire_.receive();
    const auto connection = connection_;
    while (!broken_ && connection == connection_) {
        const auto f = wire_.next();
        if (!f) break;
        on_frame(*f);
    }
    if (connection != connection_) return;
    if (broken_) return begin();
    if (!open) {
        if (leaving_) return begin();
        mismatch(expected_.empty() ? kind::connect : expected_.front().of,
                 "the connection was closed");
        return begin();
    }
    drive();
}

void client::drive() {
    while (!broken_ && !finished_ && expected_.empty() && !leaving_) {
        if (run_.stopping && !unsynced_) {
            leave();
        } else {
            const auto connection = connection_;
            next_operation();
            if (connection != connection_) return;
        }
    }
    if (!finished_ && wire_.unsent() && !wire_.send_some() && !leaving_)
        mismatch(kind::connect, "the connection broke");
    if (broken_) begin();
}

// With a Terminate; the proxy closes the connection then.
void client::leave() {
    nothing_held();
    note(kind::connect, "Terminate");
    wire_.terminate();
    leaving_ = true;
}

void client::on_frame(const frame& f) {
    switch (f.type) {
        case 'S':
            return on_parameter(f);
        case 'N':
            return;
        case 'A':
            return on_notification(f);
        default:
            break;
    }
    if (expected_.empty())
        return mismatch(kind::connect, std::string{"unasked for: message "} + f.type);
    const auto what = expected_.front().what;
    if (f.type == 'E' && what != part::failure)
        return mismatch(expected_.front().of,
                        "error " + error_field(f.body, 'C') + ": " + error_field(f.body, 'M'));
    const auto is = [&](part p, std::string_view types) {
        return what == p && types.find(f.type) != std::string_view::npos;
    };
    if (is(part::statement_columns, "t") && expected_.front().parameter != 0) {
        reader in{f.body};
        const auto count = in.i16();
        const auto type = in.i32();
        if (count != 1 || type != expected_.front().parameter)
            return mismatch(expected_.front().of, std::to_string(count) +
                                                      " parameters, the first of type " +
                                                      std::to_string(type) + " instead of " +
                                                      std::to_string(expected_.front().parameter));
    }
    if (is(part::parsed, "1") || is(part::bound, "2") || is(part::closed, "3") ||
        is(part::columns, "Tn") || is(part::statement_columns, "Tn"))
        return accept(expected_.front());
    if (is(part::log_in, "RK") || is(part::statement_columns, "t") || is(part::answer, "T") ||
        is(part::failure, "12tTnD3"))
        return;
    if (is(part::log_in, "Z")) {
        expected_.pop_front();
        return on_ready(f);
    }
    if (is(part::rows, "D") || is(part::answer, "D")) {
        result_.rows.push_back(row_of(f.body));
        return;
    }
    if (is(part::rows, "CsI") || is(part::answer, "CI") || is(part::failure, "E"))
        return on_answer_end(f);
    if (is(part::ready, "Z")) return on_ready(f);
    mismatch(expected_.front().of, std::string{"out of order: message "} + f.type +
                                       " instead of part " +
                                       std::to_string(static_cast<int>(what)));
}

void client::accept(const expected& e) {
    run_.count(e.of);
    expected_.pop_front();
}

void client::on_answer_end(const frame& f) {
    const auto e = std::move(expected_.front());
    expected_.pop_front();
    if (f.type == 'E') {
        const auto code = error_field(f.body, 'C');
        if (code != e.sqlstate)
            return mismatch(e.of, "error " + code + " (" + error_field(f.body, 'M') +
                                      ") instead of " + e.sqlstate);
        result_ = {};
        return run_.count(e.of);
    }
    result_.tag = f.type == 'C' ? std::string{reader{f.body}.text()} : std::string(1, f.type);
    result_.binary = e.binary;
    const auto got = std::exchange(result_, {});
    if (e.compare) {
        if (const auto wrong = e.compare(got); !wrong.empty()) return mismatch(e.of, wrong);
    }
    run_.count(e.of);
}

void client::on_ready(const frame& f) {
    if (expected_.empty()) return mismatch(kind::connect, "ReadyForQuery unasked for");
    const auto e = std::move(expected_.front());
    expected_.pop_front();
    if (f.body.size() != 1 || f.body.front() != e.status)
        return mismatch(e.of,
                        "transaction status " + std::string{f.body} + " instead of " + e.status);
    if (told_zone_ != e.zone || told_style_ != e.style ||
        (e.application != model::any && told_application_ != e.application))
        return mismatch(e.of, "told TimeZone \"" + told_zone_ + "\", DateStyle \"" + told_style_ +
                                  "\", application_name \"" + told_application_ +
                                  "\" instead of \"" + e.zone + "\", \"" + e.style + "\", \"" +
                                  e.application + '"');
    for (const auto& [where, now] : e.committed)
        if (*now > 0) world_.at(where).acknowledge(*now);
    if (e.of == kind::connect || e.of == kind::pipeline || e.of == kind::script) run_.count(e.of);
}

void client::on_parameter(const frame& f) {
    reader in{f.body};
    const auto name = in.text();
    const auto word = in.text();
    if (name == "TimeZone") told_zone_ = word;
    if (name == "DateStyle") told_style_ = word;
    if (name == "application_name") told_application_ = word;
}

void client::on_notification(const frame& f) {
    reader in{f.body};
    (void)in.i32();
    const auto channel = in.text();
    const auto payload = in.text();
    if (channel_ == no_party || channel != "ward_" + party_name(channel_) ||
        payload.substr(0, payload.find(' ')) != party_name(channel_))
        return mismatch(kind::notify, "notification " + std::string{channel} + ": " +
                                          std::string{payload} + ", listening to \"" +
                                          party_name(channel_) + '"');
    if (payload.substr(payload.find(' ') + 1) ==
        std::to_string(number_) + '.' + std::to_string(notified_))
        heard_ = notified_;
}

void client::note(kind of, std::string_view text) {
    lately_.push_back(std::string{name_of(of)} + ": " + std::string{text});
    if (lately_.size() > 40) lately_.pop_front();
}

std::string client::description() const {
    return "client " + std::to_string(number_) + ", connection " + std::to_string(connection_) +
           ", status " + model_.status() + ", waits for " +
           (expected_.empty() ? "nothing" : std::string{name_of(expected_.front().of)}) +
           ", lately " + (lately_.empty() ? "" : lately_.back());
}

void client::mismatch(kind of, const std::string& what) {
    broken_ = true;
    run_.bad[static_cast<std::size_t>(of)].fetch_add(1);
    run_.unknown = true;
    nothing_held();
    const std::lock_guard lock{run_.talking};
    const auto count = run_.mismatches.fetch_add(1) + 1;
    if (count > run_.opt.most_mismatches) return;
    if (count == run_.opt.most_mismatches) run_.stopping = true;
    std::printf(
        "MISMATCH seed %llu, after %llu operations, client %d, tenant \"%s\", "
        "search_path %s, role %s, %s: %s\n",
        static_cast<unsigned long long>(run_.opt.seed),
        static_cast<unsigned long long>(run_.done.load()), number_,
        model_.get(setting::tenant).c_str(), model_.get(setting::path).c_str(),
        model_.get(setting::role).c_str(), std::string{name_of(of)}.c_str(), what.c_str());
    for (const auto& line : lately_) std::printf("    %s\n", line.c_str());
    (void)std::fflush(stdout);
}

}  // namespace pgsidecar::crossing
