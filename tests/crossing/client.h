// One client session: it draws an operation, sends it with what must come back, and compares. An
// operation changes the model when it is sent; the next one is drawn when all answers are there.
// Belongs to one thread. on_event() is to be called when its socket is ready, drive() once at
// first.
//
//     connecting --ReadyForQuery--> ready --operation--> waiting --last answer--> ready
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model.h"
#include "run_state.h"
#include "wire.h"
#include "world.h"

namespace pgsidecar::crossing {

class client {
  public:
    client(run_state& run, world& all, int number);

    // Begins a connection; false when the run is over for this client.
    void begin();
    void on_event(bool readable);
    [[nodiscard]] int fd() const noexcept { return wire_.fd(); }
    // Changes with each connection: it has to be registered again.
    [[nodiscard]] std::uint64_t connection() const noexcept { return connection_; }
    [[nodiscard]] bool wants_to_send() const noexcept { return wire_.unsent(); }
    [[nodiscard]] bool finished() const noexcept { return finished_; }
    [[nodiscard]] std::string description() const;

  private:
    // Empty: as it must be; else what is wrong.
    using check = std::function<std::string(const result&)>;

    // What the server has to say next.
    enum class part : std::uint8_t {
        log_in,             // up to the first ReadyForQuery
        parsed,             // ParseComplete
        bound,              // BindComplete
        columns,            // RowDescription or NoData
        statement_columns,  // ParameterDescription before it
        closed,             // CloseComplete
        rows,               // of an Execute: rows and CommandComplete or PortalSuspended
        answer,             // of a statement in a Query: RowDescription too
        failure,            // ErrorResponse, and what comes before
        ready
    };
    struct expected {
        part what = part::ready;
        kind of = kind::connect;
        bool binary = false;
        char status = 'I';
        std::int32_t parameter = 0;            // the type of the first one that is described
        std::string sqlstate;                  // of a failure
        std::string zone, style, application;  // at ready: what the client must have been told
        check compare;
        std::vector<uncommitted> committed;  // is acknowledged by it
    };

    enum class flow : std::uint8_t { single, pipeline, script };

    // client.cpp: the connection
    void drive();
    void on_frame(const frame& f);
    void on_answer_end(const frame& f);
    void on_ready(const frame& f);
    void on_notification(const frame& f);
    void on_parameter(const frame& f);
    void accept(const expected& e);
    void mismatch(kind of, const std::string& what);
    void note(kind of, std::string_view text);
    void leave();

    // ask.cpp: how a statement is put to the server
    void ask(kind of, std::string_view sql, const std::vector<value>& values, check compare,
             bool may_be_binary = false);
    void ask_failing(kind of, std::string_view sql, std::string sqlstate);
    void ask_extended(kind of, std::string_view statement, std::string_view sql,
                      const std::vector<value>& values, check compare, bool binary);
    void fails(kind of, std::string sqlstate);
    void expect(part what, kind of);
    void expect_rows(part what, kind of, check compare, bool binary);
    void end_request(kind of);  // Sync, or the end of a Query
    void close_round(kind of);
    void commit_sent();
    [[nodiscard]] bool at_rest() const { return model_.status() == 'I' && flow_ == flow::single; }

    // choose.cpp: which operation is next
    void next_operation();
    void operation_at_rest();
    void operation_in_block();
    void operation_in_failed_block();
    [[nodiscard]] bool may_unsettle() const;
    [[nodiscard]] bool may_write_much() const;
    void plain_operation();
    void many_in_one(flow how);
    void framework_request();
    void familiar_request();
    void familiar_question();
    void end_block();
    void vanish();

    // settings.cpp
    [[nodiscard]] std::string some_tenant();
    [[nodiscard]] std::string busy_tenant();
    [[nodiscard]] setting some_setting();
    [[nodiscard]] std::string some_word(setting s);
    void set_something();
    void set_word(setting s, const std::string& word, bool local);
    void set_by_config(setting s, const std::string& word, bool local);
    void reset_something();
    void set_role();
    void show();
    void read_settings();
    void discard_all();
    void begin_block();
    void commit_block();
    void roll_back_block();
    void savepoint_something();
    [[nodiscard]] static check says(std::string word);
    [[nodiscard]] static check tagged(std::string tag);

    // rows.cpp
    [[nodiscard]] check rows_of(table t, int first, int last);
    [[nodiscard]] check temporary_rows(int first, int last) const;
    void read_usual_rows();
    void read_rows();
    void read_joined();
    void read_rendered(int id);
    [[nodiscard]] check joined_row() const;
    [[nodiscard]] check rendered_row(int id) const;
    [[nodiscard]] check all_settings() const;
    [[nodiscard]] bool can_write(table t, int id);
    [[nodiscard]] check written(table t, int id);
    void write_row();
    void insert_and_remove();
    void refused_row();
    void error();

    // statements.cpp
    void prepared_something();
    [[nodiscard]] bool is_usable(const model::statement& s) const;
    void parse_named();
    void execute_named(const std::string& name, int text);
    void describe_named(const std::string& name);
    void drop_named(const std::string& name);
    void missing_statement();
    void unnamed();
    void execute_unnamed();
    void deallocate_all();
    void sql_prepared();
    void drop_sql_prepared();
    void portal_rows();
    void flush();
    void finish_flush();
    void cursor();

    // holds.cpp: what only one server connection can have
    void hold_something();
    void temporary_table();
    void lock();
    void unlock();
    void hold_cursor();
    void fetch_held();
    void listen();
    void notify();
    void sequence();
    void use_what_is_held();
    void look_at_what_is_held();
    void let_go();
    void nothing_held();  // after DISCARD ALL, or with the connection

    enum hold : std::uint8_t {
        has_temporary = 1,
        has_lock = 2,
        has_cursor = 4,
        listens = 8,
        has_sequence = 16,
        has_sql_prepared = 32
    };
    void now_holds(hold what);
    [[nodiscard]] bool holding(hold what) const { return (holds_ & what) != 0; }
    void lets_go_of(hold what) { holds_ = static_cast<std::uint8_t>(holds_ & ~what); }

    run_state& run_;
    world& world_;
    const int number_;
    dice dice_;
    model model_;
    wire wire_;
    std::uint64_t connection_ = 0;
    bool finished_ = false;
    bool leaving_ = false;
    bool broken_ = false;
    std::deque<expected> expected_;
    result result_;
    std::deque<std::string> lately_;

    flow flow_ = flow::single;
    bool implicit_ = false;  // the transaction of a pipeline or of several statements in a Query
    bool flow_failed_ = false;
    bool unsynced_ = false;  // a Flush was sent and no Sync
    std::string script_;
    std::vector<uncommitted> acknowledges_;  // by the ReadyForQuery of the request under way

    std::string told_zone_, told_style_, told_application_;
    party home_ = 0;
    std::uint8_t holds_ = 0;
    int hold_left_ = 0;   // operations until it lets go
    int block_left_ = 0;  // and until the block ends
    int familiar_left_ = 0;
    static constexpr int nothing_to_do = -2, none_there = -1;
    int unnamed_ = nothing_to_do;  // which text is to be executed next
    party lock_of_ = no_party;
    party channel_ = no_party;
    party held_of_ = no_party;  // whose rows the cursor shows
    int held_next_ = 0;
    int marks_ = 0;
    bool took_number_ = false;            // from a sequence
    std::shared_ptr<std::string> drawn_;  // the last one, if it may be asked for
    std::uint64_t notified_ = 0;
    std::uint64_t heard_ = 0;
};

}  // namespace pgsidecar::crossing
