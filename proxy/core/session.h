// One client and its server connection, as a pure state machine: bytes and events in, actions out.
// It owns no socket, clock or random source; the pump (proxy/io) shows it bytes, and does what the
// actions say before it shows it more. Created per accepted connection, used by one thread.
//
//     startup --StartupMessage--> (authenticating, where the proxy asks for passwords itself) -->
//     connecting --connected--> login --ReadyForQuery--> ready -->
//     closed
//     authenticating --admitted to the admin console--> console --> closed
//     login --not admitted, server_tls_sslmode allow or prefer--> connecting, once
//
// In `ready`, requests are forwarded as they come, and what the server owes is kept in order
// (owed.h). A request may be answered from the cache only while nothing is owed and no transaction
// is open, so that a cached answer can overtake nothing. Extended-protocol messages that arrive
// then are held back until their Sync, or until they can no longer be a batch that the cache
// answers.
//
// on_client() and on_server() return how many bytes they took; the caller keeps the rest and shows
// it again in front of what comes next. While blocked(), client bytes need not be shown at all.
// Views in actions point into the bytes shown.
// Protocol 3.0 and 3.2.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cache/flights.h"
#include "cache/store.h"
#include "protocol/framer.h"
#include "protocol/frontend.h"
#include "protocol/startup.h"
#include "proxy/core/actions.h"
#include "proxy/core/authenticator.h"
#include "proxy/core/decider.h"
#include "proxy/core/dialect.h"
#include "proxy/core/limiter.h"
#include "proxy/core/owed.h"
#include "proxy/core/pooling.h"
#include "proxy/core/portals.h"
#include "proxy/core/prepared.h"
#include "proxy/core/session_overview.h"
#include "proxy/core/session_parts.h"
#include "proxy/core/session_services.h"
#include "proxy/core/session_settings.h"

namespace pgsidecar::core {

class session {
  public:
    session(const session_services& services, std::uint64_t token);
    ~session();
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    using time_point = cache::time_point;
    [[nodiscard]] std::size_t on_client(protocol::bytes in, time_point now, actions& out);
    [[nodiscard]] std::size_t on_server(protocol::bytes in, time_point now, actions& out);

    void on_client_tls();  // the handshake is done: the start-up begins anew, encrypted
    // The start-up packet for the server is in out.server. `cancel_key`: the key that this client
    // is to get, at least 32 random bytes; the pump remembers it together with server_pid().
    // `encrypted`: that connection is under TLS. Asked for again (connect_upstream) after a
    // refusal, the second connection is to be encrypted if the first was not.
    // `server_binding`: tls-server-end-point of its certificate, where the proxy authenticates.
    void on_upstream_connected(std::string cancel_key, bool encrypted, actions& out,
                               std::string server_binding = {});
    void on_upstream_failed(std::string_view sqlstate, std::string_view message, time_point now,
                            actions& out);
    // pool_mode: transaction. After actions::acquire_server: a connection, which is this session's
    // until actions::release_server and outlives that; or there is none, and why: an ErrorResponse.
    // on_pool_joined() comes first, once: the number and the key by which the client may cancel.
    // The admin console has them, too.
    void on_pool_joined(std::int32_t pid, std::string cancel_key);
    void on_server_attached(server_link& link, time_point now, actions& out);
    void on_no_server(std::string_view error, actions& out);
    // For those who open a pool's connections: until the client is logged in.
    [[nodiscard]] const std::string& pool_start_up() const noexcept { return start_up_->packet; }
    [[nodiscard]] const server_credentials& shown_credentials() const noexcept {
        return start_up_->known;
    }
    // Why this session keeps its server connection, as of the end of its last transaction.
    [[nodiscard]] pin kept_for() const noexcept { return pool_ ? pool_->kept_for : pin::none; }
    void on_credentials(credentials given, actions& out);  // after actions::ask_credentials
    // After actions::ask_login. Nothing: nobody could be asked; the client is refused. `random` of
    // `given` holds scram_nonce_size bytes more than the client's log-in needs.
    void on_login_rules(auth_method method, std::optional<client_login> given, actions& out);
    void on_server_closed(time_point now, actions& out);
    void on_client_finished(actions& out);  // it sends no more, but may still read
    void on_client_closed(actions& out);
    // The client does not read fast enough and its server is no longer read: whoever waits for the
    // same answer must not wait for that client.
    void on_client_stalled(actions& out) { free_followers(out); }
    void on_wake(const wake_up& wake);
    // After actions::tier asked for it. Too late, or of another question: it is passed over.
    void on_tier_answer(std::uint64_t number, core::tier_finds found, time_point now, actions& out);
    void on_database_released() noexcept { releasing_ = release::done; }
    void forget_old_catalog();       // now and then: one that has been replaced is not kept
    void on_switched(actions& out);  // services.options, the rules or the limits are others now
    void on_shutdown(actions& out);  // ends now if idle, else as soon as it is
    void on_kill(actions& out);      // ends now, and the client is told
    // Before it is logged in: its database, or whom it may be, does not allow it.
    void refuse(std::string_view sqlstate, std::string_view message, actions& out);
    // Its start-up packet names the admin console; after actions::open_console its bytes are not
    // shown here any more.
    [[nodiscard]] bool at_console() const noexcept { return console_; }
    [[nodiscard]] session_overview overview() const;
    // A CancelRequest with our key. True: open a connection and send it on with server_key(), and
    // call on_cancel_sent() when the server has closed that connection. Until then nothing is sent,
    // so that the cancel cannot meet a later query.
    [[nodiscard]] bool on_cancel(actions& out);
    void on_cancel_sent(actions& out);
    // When on_deadline() is to be called; limiter::never: not at all. Asked after each other call.
    [[nodiscard]] time_point deadline() const noexcept;
    void on_deadline(time_point now, actions& out);

    [[nodiscard]] bool blocked() const noexcept {
        return terminating_ || waiting_ != wait::none || cancel_in_flight_ ||
               (state_ != state::ready && state_ != state::startup && is_silent()) ||
               releasing_ == release::waiting || (cut_ && cut_->ready_given);
    }
    // For a pool's connection; nothing of the request in front has left.
    [[nodiscard]] bool waits_for_server() const noexcept {
        return waiting_ == wait::server && !pool_->link;
    }
    [[nodiscard]] bool expects_startup() const noexcept { return state_ == state::startup; }
    [[nodiscard]] bool logged_in() const noexcept {
        return (state_ == state::ready && !(pool_ && pool_->greeting)) || state_ == state::console;
    }
    [[nodiscard]] bool closed() const noexcept { return state_ == state::closed; }
    [[nodiscard]] bool idle() const noexcept { return quiet() && status_ == 'I'; }
    [[nodiscard]] std::int32_t server_pid() const noexcept { return server_pid_; }
    // The number that the client knows its server process by.
    [[nodiscard]] std::int32_t client_pid() const noexcept {
        return pool_ || console_ ? client_pid_ : server_pid_;
    }
    [[nodiscard]] const std::string& server_key() const noexcept { return server_key_; }
    [[nodiscard]] const std::string& client_key() const noexcept { return client_key_; }
    // Empty before the start-up message was accepted.
    [[nodiscard]] const std::string& user() const noexcept;
    [[nodiscard]] const std::string& database_name() const noexcept;

  private:
    enum class state : std::uint8_t {
        startup,
        authenticating,
        connecting,
        login,
        ready,
        console,
        closed
    };
    enum class release : std::uint8_t { none, waiting, done };
    enum class wait : std::uint8_t { none, flight, drain, gate, rows, columns, server, tier };

    using fill = answer_fill;
    using fills = answer_fills;
    using cut = request_cut;
    using demand = request_demand;
    using start_up = session_start_up;
    using writing = session_writes;
    using unproven = unproven_text;
    static constexpr std::string_view portal_marker{"\0portal", 7};
    struct unit;  // one Bind ... Execute of a batch
    struct batch;

    // session_login.cpp
    [[nodiscard]] bool is_silent() const noexcept;
    [[nodiscard]] bool quiet() const noexcept;  // nothing is under way, but for a transaction
    [[nodiscard]] bool in_transaction() const noexcept { return status_ != 'I' || unholdable_; }
    [[nodiscard]] time_point idle_deadline() const noexcept;
    void end_idle(actions& out);
    std::size_t on_startup(protocol::bytes in, actions& out);
    void accept_startup(const protocol::startup_message& m, actions& out);
    void follow_startup(const protocol::startup_message& m);
    void drop_followed(std::vector<protocol::startup_parameter>& parameters);

    // session_authentication.cpp
    std::size_t on_login_client(protocol::bytes in, actions& out);
    std::size_t on_login_server(protocol::bytes in, time_point now, actions& out);
    void follow_guard(std::string to_client, actions& out);
    void negotiate(actions& out);
    void on_question(const protocol::authentication& m, protocol::bytes whole, actions& out);
    [[nodiscard]] bool tries_the_other_way(const protocol::frame& f, actions& out);
    void on_authentication(const protocol::authentication& m, protocol::bytes whole, actions& out);
    void ask_client(bool wants_answer, std::string message, actions& out);
    void finish_login(time_point now, actions& out);

    // session_client.cpp
    std::size_t on_request(protocol::bytes in, time_point now, actions& out);
    std::size_t on_query(const protocol::head& head, protocol::bytes in, time_point now,
                         actions& out);
    [[nodiscard]] std::size_t front_of(const protocol::head& head) const noexcept;
    std::size_t forward_one(const protocol::head& head, protocol::bytes in, time_point now,
                            actions& out);
    bool forward_frame(const protocol::frame& f, time_point now, actions& out);
    std::size_t discard(const protocol::head& head, protocol::bytes in);
    std::size_t refuse_long(const protocol::head& head, protocol::bytes in, actions& out);
    void forward_query(const std::shared_ptr<const statement_text>& text, std::string_view whole,
                       actions& out);
    void forward_sync();
    void forward_function_call();
    policy::reason count_forwarded(const statement_text& text, const plan& effects, actions& out);
    owed_reply& owe(owed_reply&& item);

    // session_extended.cpp
    enum class sending : std::uint8_t { done, replaced, held, malformed };
    [[nodiscard]] sending forward_extended(const protocol::frame& f, time_point now, actions& out);
    void forward_parse(std::string_view name, std::string_view sql, std::string_view types,
                       std::string_view whole, actions& out);
    [[nodiscard]] std::optional<std::size_t> forward_bind(const protocol::bind& m,
                                                          std::size_t length, actions& out);
    void forward_execute(const portal* bound, std::uint32_t page, actions& out);
    [[nodiscard]] sending send_execute(const portal* bound, const protocol::execute& m,
                                       time_point now, actions& out);
    void forward_close(const protocol::close& m);
    [[nodiscard]] bool must_hold(std::string_view statement, actions& out);
    [[nodiscard]] std::shared_ptr<const std::vector<policy::setting_change>> bound_settings(
        const prepared& definition, const protocol::bind& m) const;
    [[nodiscard]] std::shared_ptr<const plan> effects_of(const portal& bound);
    void repair_before_reading_changes(const plan& effects, bool with_sync, actions& out);
    [[nodiscard]] bool repair_may_fail(std::string_view name);
    void send_repair(std::string_view name, bool with_sync, actions& out);
    void inject_parse(std::string_view name, const prepared_ptr& definition, actions& out);
    void inject_close(std::string_view name, actions& out);

    enum class admission : std::uint8_t { pass, hold, refused };

    // session_cache.cpp
    enum class verdict : std::uint8_t { forward, served, hold };
    [[nodiscard]] verdict look_up_query(const std::shared_ptr<const statement_text>& text,
                                        time_point now, actions& out);
    std::size_t on_batch(const protocol::head& head, protocol::bytes in, time_point now,
                         actions& out);
    std::size_t answer_batch(const protocol::head& head, protocol::bytes in, batch& b,
                             time_point now, actions& out);
    [[nodiscard]] std::optional<std::string_view> text_in_front(const protocol::head& head,
                                                                protocol::bytes in);
    [[nodiscard]] admission admit_batch(batch& b, std::optional<std::string_view> sql,
                                        time_point now, actions& out);
    [[nodiscard]] bool read_batch(protocol::bytes in, batch& b);
    [[nodiscard]] bool read_frame(const protocol::frame& f, batch& b);
    [[nodiscard]] policy::reason judge_unit(unit& u,
                                            const std::shared_ptr<const scope_text>& where);
    [[nodiscard]] verdict look_up_batch(batch& b, time_point now, actions& out);
    [[nodiscard]] bool means_the_same(const prepared& made, const plan& now,
                                      const scope_text& where);
    void serve_or_refuse(batch& b, actions& out);
    void serve_batch(batch& b, actions& out);
    void count_hit(std::size_t units, actions& out);
    [[nodiscard]] policy::reason how_served() const noexcept;
    [[nodiscard]] policy::reason session_verdict();
    [[nodiscard]] policy::reason own_verdict();
    void serve_query(const std::shared_ptr<const statement_text>& text, const plan& planned,
                     cache::entry_ptr entry, actions& out);
    [[nodiscard]] policy::reason verdict_at(time_point now);
    [[nodiscard]] policy::reason table_verdict(const plan& planned);
    [[nodiscard]] bool must_drain() const noexcept;
    [[nodiscard]] verdict hold_until_drained();
    [[nodiscard]] verdict begin_fill(const std::string& key, const cache::hash128& hash,
                                     const planned_read& read, time_point now, actions& out);
    [[nodiscard]] cache::entry_ptr find_entry(const std::string& key, const cache::hash128& hash,
                                              const planned_read& read, time_point now);
    [[nodiscard]] std::array<const cache::table_state*, 2> named_states(const planned_read& read);
    [[nodiscard]] bool has_what_was_named(const cache::entry& found, const planned_read& read);
    [[nodiscard]] std::vector<cache::dependency> observe(const planned_read& read);
    void prepare_fill(const std::string& key, const cache::hash128& hash, const planned_read& read,
                      time_point now);
    void store_fills(bool usable, time_point now, actions& out);
    void abandon_fills(actions& out);
    void settle_lead(bool served, actions& out);
    void refuse_cancelled(actions& out);
    [[nodiscard]] std::int16_t current_fill() const noexcept {
        return static_cast<std::int16_t>(next_fill_ < 1 ? -1 : next_fill_ - 1);
    }
    void leave_flight(actions& out);

    // session_shadow.cpp
    [[nodiscard]] verdict shadow_query(const std::shared_ptr<const statement_text>& text,
                                       const plan& planned, time_point now, actions& out);
    [[nodiscard]] verdict shadow_batch(batch& b, time_point now, actions& out);
    void compare_fill(cache::entry_ptr found, const std::shared_ptr<const statement_text>& text,
                      const plan& planned);

    // session_switch.cpp
    void stop_caching(actions& out);
    void lift_limits(actions& out);
    [[nodiscard]] bool wants_tenant() const noexcept;
    void renew_limits(time_point now);

    // session_tier.cpp
    [[nodiscard]] bool shares_with_tier() const;
    [[nodiscard]] bool add_to_question(tier_wait& question, const std::string& key,
                                       const cache::hash128& hash, const planned_read& read);
    [[nodiscard]] bool asks_tier(const std::string& key, const cache::hash128& hash,
                                 const planned_read& read, time_point now, actions& out);
    [[nodiscard]] bool asks_tier(const batch& b, time_point now, actions& out);
    [[nodiscard]] bool ask(std::unique_ptr<tier_wait> question, time_point now, actions& out);
    [[nodiscard]] bool take_in(const tier_wait::part& asked, const tier_find& found,
                               time_point now);
    void give_up_tier(actions& out);
    void offer(const fill& f, cache::entry_ptr entry, actions& out);

    // session_limits.cpp
    [[nodiscard]] static demand demand_of(const statement_text& text);
    void begin_limits(time_point now);
    void continue_batch(time_point now) {
        if (limits_ && unholdable_ && owed_.empty()) begin_anew(now);
    }
    void begin_anew(time_point now);
    [[nodiscard]] policy::tenant_evidence evidence_with(std::string_view sql) const;
    void find_tenant(std::string_view sql, time_point now);
    [[nodiscard]] bool may_change_tenant(std::string_view sql);
    [[nodiscard]] admission admit(const demand& wanted, std::optional<std::string_view> sql,
                                  time_point now, actions& out);
    [[nodiscard]] bool rules(ruling&& r, actions& out);
    [[nodiscard]] bool may_refuse_here() const noexcept;
    void refuse_here(actions& out, const statement_text* text = nullptr, bool begins = false);
    [[nodiscard]] bool drains_to_refuse(bool begins) const noexcept;
    void send_failure(bool with_sync, std::string error, actions& out);
    void refuse_request(actions& out, const statement_text* text = nullptr);
    [[nodiscard]] bool refuse_message(ruling&& r, actions& out);
    void fail_in_place(actions& out);
    void consumed(actions& out);
    void leave_gate(actions& out);
    void wake_admitted(const limiter::tickets& others, actions& out);
    [[nodiscard]] bool too_large_for_tenant(const cache::entry& e, actions& out);
    [[nodiscard]] bool count_row(std::size_t size, time_point now, actions& out);
    [[nodiscard]] bool front_request_is_whole();
    // session_measure.cpp
    [[nodiscard]] bool measures() const noexcept { return services_.options.measures && limits_; }
    void measure_here(const std::shared_ptr<const statement_text>& text, const plan& p,
                      const cache::entry* answer, actions& out, std::size_t which = 0);
    void measure_front(std::uint64_t rows, bool failed, time_point now, actions& out);
    void end_measured_transaction(actions& out);
    // session_cut.cpp
    void begin_cut(bool answer, time_point now, actions& out);
    void fail_rest(actions& out);
    void tell_cut(bool completed, actions& out);
    void forget_parse(const owed_reply& item);
    [[nodiscard]] bool cut_hides_error(const protocol::frame& f, actions& out);
    void request_has_failed();
    [[nodiscard]] bool copy_failed(const protocol::error_response& m) const;
    [[nodiscard]] bool settle_cut(char status, actions& out);
    [[nodiscard]] bool end_is_open();
    void on_silence(time_point now, actions& out);
    void note_rows(const statement_text& text, const plan& effects);
    [[nodiscard]] bool must_await_rows(bool control, actions& out);

    // session_pool.cpp
    void join_pool(actions& out);
    [[nodiscard]] bool attached() const noexcept { return !pool_ || pool_->link; }
    [[nodiscard]] bool lacks_server(time_point now, actions& out);
    [[nodiscard]] bool restoring() const noexcept {
        return waiting_ == wait::server && pool_->link;
    }
    [[nodiscard]] session_settings::values own_settings() const;
    void refresh_wanted();
    void send_restore(time_point now, actions& out);
    void on_restore_reply(const protocol::frame& f, actions& out);
    void restore_refused();
    void drop_half_restored(actions& out);
    void try_another_server(actions& out);
    void finish_restore(actions& out);
    void look_for_catalog(time_point now, actions& out);
    void greet(actions& out);
    void give_back(actions& out);
    // Of a name among the touched settings that stands for what could not be followed.
    static constexpr std::string_view taint_mark = "unknown.";

    // session_resets.cpp
    void note_returned(std::uint32_t taints);
    [[nodiscard]] bool is_returned(const std::string& name) const;
    [[nodiscard]] bool follows_all() const noexcept {
        return taints_ == clean_taints_ && !unproven_;
    }
    [[nodiscard]] bool keeps_back(const protocol::parameter_status& m, actions& out);
    void note_resets();
    [[nodiscard]] bool awaits_restore() const { return pool_ && pool_->resets && reset_matters(); }
    [[nodiscard]] bool reset_matters() const;
    void restore_kept(actions& out);

    // session_detached.cpp
    void refuse_waiting(std::string error, actions& out);
    void end_server_wait(actions& out);
    [[nodiscard]] std::size_t on_detached(const protocol::head& head, protocol::bytes in,
                                          time_point now, actions& out);
    std::size_t refuse_detached(const protocol::head& head, protocol::bytes in, actions& out);
    [[nodiscard]] std::shared_ptr<const statement_text> text_in(const protocol::frame& f);
    [[nodiscard]] bool answer_here(const std::shared_ptr<const statement_text>& text, actions& out);
    [[nodiscard]] bool reset_here(const statement_text& text, std::string& reply);
    [[nodiscard]] bool reset_is_reported() const;

    // session_in_need.cpp
    using scope_ptr = std::shared_ptr<const scope_text>;
    [[nodiscard]] std::size_t answer_in_need(const protocol::head& head, protocol::bytes in,
                                             time_point now, actions& out);
    [[nodiscard]] scope_ptr scope_in_need();
    [[nodiscard]] std::size_t answer_query_in_need(const protocol::frame& f, const scope_ptr& where,
                                                   time_point now, actions& out);
    [[nodiscard]] std::size_t answer_batch_in_need(protocol::bytes in, const scope_ptr& where,
                                                   time_point now, actions& out);
    [[nodiscard]] cache::entry_ptr find_in_need(const std::string& key, const cache::hash128& hash,
                                                const planned_read& read, time_point now);

    // session_holds.cpp
    [[nodiscard]] pin pinned() const noexcept;
    void note_holds(const planned_write& w);
    void note_holds(const planned_write& w, const policy::statement_facts& s);
    void drop_holds(unsigned what);
    void end_unlisten(bool committed);
    void end_holds(const policy::statement_facts& s);
    [[nodiscard]] std::uint8_t holds_to_come();
    void note_sequences(const statement_text& text);
    [[nodiscard]] bool link_knows_more(const planned_read& read) const;

    // session_virtual.cpp
    void note_prepare(const std::string& name, const prepared& made);
    void restore_sql_statements(std::vector<std::string>& excess,
                                std::vector<std::string_view>& missing);
    void leave_sql_statements();
    [[nodiscard]] bool is_virtual(std::string_view name, const prepared_ptr& definition) const;
    [[nodiscard]] bool reads_alone(const statement_text& text) const;
    [[nodiscard]] std::uint64_t definitions() { return definitions_in(*database_, *scope()); }
    [[nodiscard]] prepared_ptr definition_of(std::string_view name,
                                             const std::shared_ptr<const statement_text>& text,
                                             std::string_view types);
    [[nodiscard]] shared_text read_by(const prepared& definition);
    void forward_virtual_parse(const protocol::parse_message& m,
                               const std::shared_ptr<const statement_text>& text,
                               std::string_view types, protocol::bytes whole, actions& out);
    [[nodiscard]] std::uint32_t at_server(const prepared_ptr& definition, actions& out);
    void note_owed_name() { owed_names_ += pool_ ? 1U : 0U; }
    [[nodiscard]] bool awaits_name(std::string_view name);
    [[nodiscard]] std::optional<std::size_t> rename_bind(const protocol::bind& m,
                                                         std::size_t length, std::uint32_t& number,
                                                         actions& out);
    [[nodiscard]] bool forward_virtual_describe(std::string_view name, actions& out);
    [[nodiscard]] bool forward_virtual_close(std::string_view name, actions& out);
    void fail_statement(std::string_view sqlstate, std::string_view message, actions& out);
    [[nodiscard]] bool tell_renamed(const protocol::frame& f, const std::string& name,
                                    actions& out);
    void note_outdated(const protocol::frame& f);
    [[nodiscard]] bool is_refused_there(std::string_view name, const prepared_ptr& definition);

    // session_columns.cpp
    static constexpr std::string_view result_type_changed =
        "cached plan must not change result type";
    [[nodiscard]] bool awaits_columns(std::string_view name, actions& out);
    void keep_parameters(std::string_view name);
    [[nodiscard]] std::uint32_t described_at_server(std::string_view name, actions& out);
    [[nodiscard]] bool differs_there(std::string_view name, std::uint32_t number);
    void await_answers(wait why, actions& out);
    void end_waiting_for_answers(actions& out);
    [[nodiscard]] bool may_differ(const prepared& definition);
    void inject_describe(std::string_view name, std::string_view there, std::uint32_t number,
                         actions& out);
    [[nodiscard]] bool misreads(std::string_view name) const;
    void on_described(const protocol::frame& f, actions& out);
    void compare_description(const owed_reply& item, statement_description found, actions& out);
    void note_parameter_types(const protocol::frame& f);
    [[nodiscard]] owed_reply portal_description();
    [[nodiscard]] std::string_view told_in_key(const unit& u) const;
    void note_columns(const unit& u);

    // session_refused.cpp
    [[nodiscard]] static bool begins_block(const statement_text& text, bool before = false);
    void refuse_block(std::string& reply, const statement_text* begin);
    std::size_t on_refused_block(const protocol::head& head, protocol::bytes in, actions& out);
    [[nodiscard]] bool answer_in_refused_block(const protocol::frame& f, std::string& reply);
    void fail_in_refused_block(std::string& reply, actions& out);
    std::size_t end_refused_block(const policy::statement_facts& end, bool whole,
                                  const protocol::head& head, protocol::bytes in, actions& out);

    // session_pages.cpp
    [[nodiscard]] bool judge_page(const statement_text& text, const protocol::bind* values,
                                  std::uint32_t& page, actions& out);
    void forward_cut_query(const std::shared_ptr<const statement_text>& text, std::uint32_t page,
                           actions& out);
    void end_page(actions& out);

    // session_state.cpp
    [[nodiscard]] const std::shared_ptr<const scope_text>& scope();
    [[nodiscard]] const std::string& context();
    [[nodiscard]] std::string current_role() const;
    void adopt_login_defaults(const std::shared_ptr<const policy::catalog>& catalog);
    [[nodiscard]] std::string_view setting(std::string_view name) const;  // until one is set
    [[nodiscard]] std::shared_ptr<const statement_text> text_of(std::string_view sql) {
        return services_.decide.text(sql, dialect_.read(sql, !owed_.empty()));
    }
    void note_parameter(std::string_view name, std::string_view value);
    [[nodiscard]] const shared_text& literals_read_by();

    // session_effects.cpp
    void judge_unproven();
    [[nodiscard]] std::shared_ptr<const plan> plan_of(const statement_text& text,
                                                      bool in_doubt = false);
    [[nodiscard]] bool changes_nothing(const policy::setting_change& change) const;
    [[nodiscard]] bool may_move_path(const planned_write& w, policy::statement_kind kind) const;
    [[nodiscard]] bool may_change_reading(const planned_write& w,
                                          policy::statement_kind kind) const;
    void note_effects(const planned_write& w, policy::statement_kind kind, bool alone);
    [[nodiscard]] planned_write unknown_write();
    void note_text_effects(const std::shared_ptr<const statement_text>& text, const plan& p);
    [[nodiscard]] bool is_nobodys(std::string_view name) const;
    [[nodiscard]] planned_write executed(const prepared_ptr& definition,
                                         bool path_in_doubt = false);
    void note_plan(const plan& p);
    void statement_done(owed_reply& item, std::string_view tag);
    void mark(const planned_write& w, bool may_commit);
    void note_sight_of_writes();
    void bump_marks();
    void release_marks(actions& out, bool lost);
    [[nodiscard]] bool must_release_database(const statement_text& text, actions& out);

    // session_server.cpp
    std::size_t on_reply(protocol::bytes in, time_point now, actions& out);
    void handle_reply(const protocol::frame& f, time_point now, actions& out);
    [[nodiscard]] bool on_parsed_or_closed(char type, bool hide, actions& out);
    void pass_reply(const protocol::frame& f, actions& out);
    void note_fatal(const protocol::frame& f);
    [[nodiscard]] bool answer_error(const protocol::frame& f, time_point now, actions& out);
    [[nodiscard]] bool on_reply_error(const protocol::frame& f);
    void on_ready(const protocol::frame& f, time_point now, actions& out);
    void on_drained(actions& out);
    void release_commits();
    void on_completed(const protocol::frame& f, time_point now, actions& out);
    void spoil_fill();
    void on_copy_in();
    void refuse(owed_reply& item, bool ran, std::size_t end);
    struct sides {
        bool client, server;
    };
    void take_back(const owed_reply& item, prepared_statements::views before, sides of,
                   std::size_t later);
    void pop_owed();
    void record(const protocol::frame& f, actions& out);
    void free_followers(actions& out);
    [[nodiscard]] bool swallow() { return !owed_.empty() && owed_.front().injected; }

    void distrust_catalogs(time_point now, actions& out);
    void fail(std::string_view sqlstate, std::string_view message, std::string_view why,
              actions& out);
    void end_with(std::string reply, std::string_view why, actions& out);
    [[nodiscard]] bool caching() const noexcept { return services_.options.cache && !transparent_; }

    const session_services& services_;
    const std::uint64_t token_;
    std::uint64_t wait_token_ = 0;  // unique for each wait: token and a counter
    state state_ = state::startup;
    wait waiting_ = wait::none;
    release releasing_ = release::none;
    bool tls_done_ = false;
    bool gss_refused_ = false;
    bool tls_refused_ = false;
    bool transparent_ = false;  // replication, or nothing is ever done: bytes pass unread
    bool negotiate_ = false;    // the client asked for more than we speak
    bool asked_ = false;        // during the log-in: the server awaits a word of the client
    bool cancel_in_flight_ = false;
    bool cancelled_ = false;      // while waiting: answer the held request with 57014
    bool go_upstream_ = false;    // the next look-up must not wait again
    bool leads_next_ = false;     // woken as the leader of the flight it waited in
    bool waited_ = false;         // for another session's identical miss
    bool stale_ = false;          // an entry that was found is beyond its ttl
    bool unholdable_ = false;     // until the next Sync, messages are not held back
    bool failed_ = false;         // an error since the last ReadyForQuery
    bool skipping_ = false;       // the server skips what is sent until a Sync
    bool discarding_ = false;     // the rest of a long message that was refused
    bool server_hidden_ = false;  // of a long message from the server, cut away
    bool batch_writes_ = false;   // since the last Sync: something that the Sync may commit
    bool batch_rows_ = false;     // and something that may send back more rows than are allowed
    bool block_ = false;         // since nothing was owed: something that is, or may be, in a block
    bool block_rows_ = false;    // and may send back more rows than are allowed
    bool control_done_ = false;  // a part of the request under way has begun or ended a block
    bool copy_in_ = false;       // it reads CopyData now; Sync and Flush are ignored there
    bool draining_ = false;
    bool console_ = false;          // the admin console is what it asked for
    bool terminating_ = false;      // the client has ended; the server is to finish what it owes
    bool server_fatal_ = false;     // the server has said why it ends
    bool server_restarts_ = false;  // or may: it said so, or vanished without a word
    bool temporary_ = false;        // temporary objects may exist
    bool saw_writes_ = false;       // read from the server while another's commit was in flight
    bool schema_written_ = false;   // in the open transaction
    bool schema_mark_ = false;      // its commit is in flight
    bool cluster_mark_ = false;
    bool defaults_mark_ = false;  // a statement of ours alters what a log-in is given
    bool high_start_ = false;     // start-up parameters outside ASCII
    bool untracked_ = false;      // the options could not be followed: never cache
    bool client_active_ = false;  // transparent: bytes sent since the last ReadyForQuery
    char status_ = 'I';
    time_point quiet_since_{};        // the last bytes of either peer
    time_point measured_until_{};     // the last statement's end
    time_point measured_since_{};     // the transaction's first statement; never measured: none
    std::uint64_t answer_bytes_ = 0;  // of the statement under way
    std::uint64_t page_rows_ = 0;     // of the statement under way, since its last page
    std::uint32_t minor_ = 0;         // protocol minor version spoken with the client
    std::uint32_t taints_ = 0;        // how often something happened that cannot be followed
    std::uint32_t clean_taints_ = 0;  // taints_ at the last DISCARD ALL; equal: clean
    std::uint32_t waits_ = 0;
    std::uint32_t owed_settings_ = 0;  // owed statements that change settings alone
    std::uint32_t owed_others_ = 0;    // owed statements that may write
    bool path_in_doubt_ = false;       // since nothing was owed: one that may have changed settings
    bool reading_in_doubt_ = false;    // likewise, by which the server reads a text
    std::uint32_t owed_repairs_ = 0;   // owed Parses of ours
    std::unique_ptr<std::string> repair_error_;  // of the block: not told yet
    std::uint32_t owed_names_ = 0;  // since nothing was owed: Parses, Closes, in a pool
    std::int32_t server_pid_ = 0;
    std::int32_t client_pid_ = 0;
    policy::reason batch_reason_ = policy::reason::miss;  // why what is forwarded was not answered
    std::uint32_t hold_until_ = 0;     // bytes of a held batch with which there is more to read
    std::uint32_t client_stream_ = 0;  // bytes of a forwarded frame still to come
    std::uint32_t server_stream_ = 0;
    std::int16_t next_fill_ = -1;  // while forwarding a batch that is being recorded

    std::shared_ptr<const std::string>
        user_;                            // shared with the worker's other sessions of that user
    std::unique_ptr<start_up> start_up_;  // until the log-in is done
    std::string client_key_;
    std::string server_key_;
    database* database_ = nullptr;

    session_settings settings_;
    dialect dialect_;
    prepared_statements statements_;
    owed_replies owed_;
    portals portals_;
    std::unique_ptr<std::vector<unproven>> unproven_;
    std::unique_ptr<writing> writing_;
    [[nodiscard]] writing& pending();
    [[nodiscard]] bool commit_in_flight() const noexcept {
        return writing_ && !writing_->marked.empty();
    }
    std::unique_ptr<pooling> pool_;    // null: the server connection is this session's alone
    std::unique_ptr<limiter> limits_;  // null: there are none
    std::unique_ptr<cut> cut_;
    std::unique_ptr<refused_block> refused_;
    std::unique_ptr<fills> fills_;
    std::unique_ptr<fill> flight_;  // while waiting: key and hash
    std::unique_ptr<tier_wait> tier_;

    std::shared_ptr<const std::string> reported_;  // ParameterStatus, canonical
    std::shared_ptr<const login_defaults> login_;  // null: not known yet
    std::shared_ptr<const std::string> context_;
    std::shared_ptr<const std::string> read_by_;  // with it: see literals_read_by()
    std::shared_ptr<const scope_text> scope_;
    std::uint64_t login_altered_ = 0;  // databases::defaults_altered at log-in
    std::uint64_t context_revision_ = 0;
    std::uint64_t scope_revision_ = 0;
    std::uint64_t scope_epoch_ = 0;
    std::uint32_t constants_changed_ = 0;  // how often what constants_are_written_by() was set
    bool scope_temporary_ = false;
};

}  // namespace pgsidecar::core
