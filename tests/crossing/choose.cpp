// Which operation is next.
#include "client.h"

namespace pgsidecar::crossing {

void client::next_operation() {
    if (unsynced_) return finish_flush();
    if (unnamed_ != nothing_to_do) return execute_unnamed();
    if (model_.status() == 'E') return operation_in_failed_block();
    if (holds_ != 0 && --hold_left_ <= 0) return model_.status() == 'T' ? end_block() : let_go();
    if (model_.status() == 'T') return operation_in_block();
    if (familiar_left_ > 0 && --familiar_left_ >= 0) return familiar_question();
    operation_at_rest();
}

void client::operation_at_rest() {
    const int n = dice_.below(1000);
    if (n < 120) return holds_ == 0 ? familiar_request() : use_what_is_held();
    if (n < 230) return framework_request();
    if (n < 310) return many_in_one(flow::pipeline);
    if (n < 370) return many_in_one(flow::script);
    if (n < 440) {
        begin_block();
        block_left_ = dice_.below(9);
        return;
    }
    if (n < 465) return flush();
    if (n < 485) return portal_rows();
    if (n < 500) return holds_ == 0 ? discard_all() : use_what_is_held();
    if (n < 508) return leave();
    if (n < 512) return vanish();
    if (n < 540) return holds_ == 0 || dice_.chance(20) ? hold_something() : use_what_is_held();
    if (n < 545) return notify();
    if (n < 553) return deallocate_all();
    if (n < 570) return unnamed();
    if (holds_ != 0 && n < 700) return use_what_is_held();
    plain_operation();
}

void client::operation_in_block() {
    if (--block_left_ < 0) return end_block();
    const int n = dice_.below(100);
    if (n < 8) return many_in_one(flow::pipeline);
    if (n < 14) return many_in_one(flow::script);
    if (n < 18) return cursor();
    if (n < 21) return portal_rows();
    if (n < 24) return flush();
    if (n < 25) return vanish();
    plain_operation();
}

void client::operation_in_failed_block() {
    const int n = dice_.below(100);
    if (n < 35) return ask_failing(kind::error_in_block, "SELECT tenant FROM item", "25P02");
    if (n < 37) return vanish();
    if (n < 65 && model_.savepoints() > 0) {
        const auto to =
            static_cast<std::size_t>(dice_.below(static_cast<int>(model_.savepoints())));
        model_.roll_back_to(to);
        return ask(kind::roll_back_to, "ROLLBACK TO SAVEPOINT s" + std::to_string(to), {},
                   tagged("ROLLBACK"));
    }
    model_.roll_back();
    ask(kind::roll_back, dice_.chance(50) ? "ROLLBACK" : "COMMIT", {}, tagged("ROLLBACK"));
}

// After a change of definitions, or what may be one, nothing comes from the cache until the
// catalogs have been read again: so there are times without.
bool client::may_unsettle() const {
    constexpr std::uint64_t stretch = 20'000;
    return run_.done.load(std::memory_order_relaxed) / stretch % 8 == 1;
}

// One that may stand alone, in a block, in a pipeline, or beside others in a Query.
void client::plain_operation() {
    if (model_.status() == 'T' && dice_.chance(7)) return savepoint_something();
    const int n = dice_.below(1000);
    if (n < 400) return read_rows();
    if (n < 440) return read_joined();
    if (n < 480) return read_rendered(dice_.below(rows_each));
    if (n < 510) return read_settings();
    if (n < 540) return show();
    if (n < 640) return set_something();
    if (n < 690) return reset_something();
    if (n < 725) return set_role();
    if (n < 785) return write_row();
    if (n < 810) return insert_and_remove();
    if (n < 816) return refused_row();
    if (n < 830) return error();
    if (flow_ == flow::script) return read_rows();
    prepared_something();
}

// As an application does it with a connection from its own pool: all is reset, then the tenant is
// set, and then asked for, without waiting for each answer.
void client::framework_request() {
    if (dice_.chance(50)) discard_all();
    const auto tenant = some_tenant();
    if (dice_.chance(60))
        set_by_config(setting::tenant, tenant, false);
    else
        set_word(setting::path, tenant + ", public", false);
    for (int i = 1 + dice_.below(6); i >= 0; --i) read_rows();
}

// As framework_request(), but one thing after another, and what others of the tenant have asked
// before: so it is answered from the cache. Sometimes the tenant changes in between.
void client::familiar_request() {
    constexpr int busy_roles = 4;
    if (dice_.chance(85)) discard_all();
    const auto tenant = busy_tenant();
    if (dice_.chance(85)) set_by_config(setting::tenant, tenant, false);
    if (dice_.chance(50)) set_word(setting::path, tenant + ", public", false);
    if (dice_.chance(10))
        set_word(setting::role, party_name(first_role + dice_.below(busy_roles)), false);
    if (dice_.chance(10)) {  // else as the others, so that this alone tells their answers apart
        const auto s = static_cast<setting>(static_cast<int>(setting::zone) + dice_.below(4));
        set_word(s, some_word(s), false);
    }
    familiar_left_ = 20 + dice_.below(50);
}

void client::familiar_question() {
    const int n = dice_.below(100);
    if (n < 4) {
        const auto tenant = busy_tenant();
        set_by_config(setting::tenant, tenant, false);
        if (!model_.is_default(setting::path)) set_word(setting::path, tenant + ", public", false);
    }
    if (n == 4) return set_word(setting::path, busy_tenant() + ", public", false);
    if (n == 5) return write_row();
    if (n < 18) return prepared_something();
    if (n < 26) return read_rendered(0);
    read_usual_rows();
}

// Most of the time little is written: else no answer would live long enough to be served again.
bool client::may_write_much() const {
    constexpr std::uint64_t stretch = 5'000;
    return run_.done.load(std::memory_order_relaxed) / stretch % 4 == 0;
}

void client::many_in_one(flow how) {
    const bool block = model_.status() == 'I' && dice_.chance(40);
    flow_ = how;
    if (block) {
        begin_block();
    } else if (model_.status() == 'I') {
        model_.begin(true);
        implicit_ = true;
    }
    for (int i = dice_.below(6); i >= 0 && !flow_failed_; --i) plain_operation();
    if (flow_failed_) {  // never done
        const std::string_view unheard = "UPDATE chart SET counter = 0";
        if (how == flow::script) {
            script_ += unheard;
        } else {
            wire_.parse("", unheard);
            wire_.bind("", "", {}, false);
            wire_.execute("", 0);
        }
    } else if (block) {
        if (dice_.chance(75))
            commit_block();
        else
            roll_back_block();
    }
    end_request(how == flow::script ? kind::script : kind::pipeline);
    flow_ = flow::single;
}

void client::end_block() {
    if (dice_.chance(70))
        commit_block();
    else
        roll_back_block();
}

// Without a word, maybe while an answer is on its way.
void client::vanish() {
    nothing_held();
    if (dice_.chance(50)) {
        wire_.query("SELECT tenant, id, counter FROM visit ORDER BY id");
        (void)wire_.send_some();
    }
    run_.count(kind::vanish);
    note(kind::vanish, "");
    begin();
}

}  // namespace pgsidecar::crossing
