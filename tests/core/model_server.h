// A small database in memory that speaks the server's side of the protocol, for the simulation:
// rows of kv by id, one row of notes per tenant (visible by app.tenant_id alone), READ COMMITTED,
// savepoints, prepared statements. Every value written is unique, so a value read tells which
// commit it came from. A commit is visible from the step that processes it, whenever its reply
// arrives.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace core_test {

// What the simulation can say in SQL.
struct statement {
    enum class kind {
        select_kv,
        select_notes,
        select_all,  // of kv
        update_kv,
        update_notes,
        update_all,  // of kv, each row to value + id; returns them
        begin,
        commit,
        rollback,
        savepoint,
        rollback_to,
        release,
        set_tenant,
        set_tenant_local,
        reset_tenant,
        discard_all,
        divide_by_zero,
        alter,
        // With shared server connections alone.
        set_value,  // of any setting
        set_value_local,
        reset_value,
        reset_all,
        set_role,
        reset_role,
        config_tenant,  // by set_config(), which returns it
        config_tenant_local,
        do_tenant,  // by a DO block
        prepare,    // a read of kv's first row
        execute,    // it
        deallocate,
        deallocate_all,
        listen,
        unlisten,
        lock,
        unlock_all,
        create_temporary,
        select_one,
        close_prepared,    // Close, no statement
        describe_prepared  // Describe
    };
    kind what = kind::select_kv;
    int id = 0;          // of a row
    long value = 0;      // of an update
    std::string name{};  // of a tenant, a savepoint, a setting or a prepared statement
    std::string text{};  // of a setting

    [[nodiscard]] bool reads() const {
        return what == kind::select_kv || what == kind::select_notes || what == kind::select_all ||
               what == kind::execute;
    }
    [[nodiscard]] bool writes() const {
        return what == kind::update_kv || what == kind::update_notes || what == kind::update_all;
    }
    [[nodiscard]] bool returns_rows() const {
        return reads() || what == kind::update_all || returns_one();
    }
    // A row that is no table's.
    [[nodiscard]] bool returns_one() const {
        return what == kind::config_tenant || what == kind::config_tenant_local ||
               what == kind::lock || what == kind::unlock_all || what == kind::select_one;
    }
    // Does it cost its tenant a token?
    [[nodiscard]] bool counts() const {
        return reads() || writes() || what == kind::divide_by_zero || what == kind::alter;
    }
    // May it run in a block that has failed?
    [[nodiscard]] bool leaves_failure() const {
        return what == kind::commit || what == kind::rollback || what == kind::rollback_to;
    }
    // Parameters are $1, $2 when `values` is given.
    [[nodiscard]] std::string sql(std::vector<std::string>* values = nullptr) const;
    [[nodiscard]] static std::optional<statement> read(std::string text,
                                                       const std::vector<std::string>& values);
};

// Every committed value of each row, oldest first. Shared by all backends.
class model_database {
  public:
    struct place {
        std::string row;
        std::size_t at = 0;
    };
    model_database();
    [[nodiscard]] long newest(const std::string& row) const { return history_.at(row).back(); }
    [[nodiscard]] const place* find(long value) const;  // null: never committed
    void commit(const std::map<std::string, long>& writes);

    static constexpr int rows = 2;
    static constexpr std::string_view tenants[] = {"a", "b", "c"};

  private:
    std::map<std::string, std::vector<long>> history_;
    std::unordered_map<long, place> where_;
};

// A transaction and the settings in it; for a backend, and for what a client expects.
class transaction_model {
  public:
    using values = std::map<std::string, std::string, std::less<>>;

    // Of the start-up packet: what RESET returns to.
    void start(values given) { start_ = std::move(given); }
    [[nodiscard]] const values& at_start() const { return start_; }
    // In lower case. Unset and not given: what the server begins with.
    [[nodiscard]] std::string value(std::string_view name) const;
    [[nodiscard]] const values& set() const { return now_.set; }
    // Does app.tenant_id exist? From its first SET on, whatever becomes of that.
    [[nodiscard]] bool knows_tenant() const { return known_ || start_.contains(tenant_setting); }
    void make_tenant_known() { known_ = true; }
    // LISTEN, temporary tables, advisory locks.
    [[nodiscard]] bool holds_anything() const { return now_.listens || now_.temporary || locked_; }
    // The table that the name kv means.
    [[nodiscard]] std::string kv() const;
    // Of the parameter of a read of kv: each table has it of another type, and it stands for all by
    // which a text is read.
    [[nodiscard]] std::uint32_t parameter_type() const;
    static constexpr std::string_view tenant_setting = "app.tenant_id";

    [[nodiscard]] char status() const { return failed_ ? 'E' : open_ ? 'T' : 'I'; }
    [[nodiscard]] bool implicit() const { return open_ && implicit_; }
    [[nodiscard]] std::string tenant() const { return value(tenant_setting); }
    [[nodiscard]] std::optional<long> written(const std::string& row) const;
    [[nodiscard]] bool has_savepoint() const { return !savepoints_.empty(); }
    [[nodiscard]] std::string row_of(const statement& s) const;

    void begin(bool implicit);
    [[nodiscard]] std::map<std::string, long> commit();  // what it wrote
    void rollback();
    void fail();                     // an error: a block fails, an implicit transaction is gone
    void apply(const statement& s);  // anything but begin, commit, rollback

  private:
    struct state {
        std::map<std::string, long> writes;
        values set;           // in effect
        values after_commit;  // without SET LOCAL
        bool listens = false, temporary = false;
    };
    void apply_setting(const statement& s);
    void put(const std::string& name, const std::optional<std::string>& value, bool local);
    void reset_all();
    void discard_all();
    struct savepoint {
        std::string name;
        state before;
    };
    state now_, at_begin_;
    std::vector<savepoint> savepoints_;
    values start_;
    bool open_ = false, implicit_ = false, failed_ = false;
    bool known_ = false, locked_ = false;
};

class backend {
  public:
    explicit backend(model_database& db, std::int32_t pid = 77) : db_{&db}, pid_{pid} {}
    void receive(std::string_view bytes) { in_.append(bytes); }
    [[nodiscard]] bool has_work() const;  // a whole message is there, or an answer's end is due
    [[nodiscard]] std::string step();     // processes one, returns what it answers
    // Whatever it is at now fails; nothing happens to one that waits.
    void cancel() {
        if (busy_ || has_work()) cancelled_ = true;
    }
    // Waits for a request, outside of any transaction, or for nothing any more.
    [[nodiscard]] bool quiet() const;
    [[nodiscard]] std::string tenant() const { return transaction_.tenant(); }
    [[nodiscard]] const transaction_model& transaction() const { return transaction_; }
    [[nodiscard]] std::vector<std::string> prepared_names() const;
    // Somebody's code ran here of which nobody but him knows what it did.
    [[nodiscard]] bool tainted() const { return tainted_; }
    // The next settings that the proxy wants to restore are refused.
    void refuse_restore() { refuses_restore_ = true; }
    void end();  // the connection is gone: whatever is open is rolled back
    [[nodiscard]] bool ended() const { return ended_; }
    [[nodiscard]] std::int32_t pid() const { return pid_; }

  private:
    struct prepared {
        std::string sql;
        std::uint32_t type = 0;  // of its parameter
    };
    [[nodiscard]] std::string log_in(std::string_view body);
    [[nodiscard]] bool restores(const std::string& sql) const;
    [[nodiscard]] std::string restore(std::string_view sql);
    // What is reported and has changed.
    [[nodiscard]] std::string reports();
    [[nodiscard]] std::string ready_now() { return reports() + ready_for(transaction_.status()); }
    [[nodiscard]] static std::string ready_for(char status);
    [[nodiscard]] std::string run_prepared(const statement& s);
    [[nodiscard]] std::string read_row(const statement& s, bool describe);
    [[nodiscard]] std::string describe_statement(std::string_view name);
    [[nodiscard]] std::string simple(const std::string& sql);
    [[nodiscard]] std::string extended(char type, std::string_view body);
    [[nodiscard]] std::string next();
    // Rows (at most so many; 0: all) and tag, or an error.
    [[nodiscard]] std::string run(const statement& s, bool describe, std::int32_t most);
    [[nodiscard]] std::string begin_rows(const statement& s, bool describe, std::int32_t most);
    [[nodiscard]] std::string finish();
    [[nodiscard]] std::string end_query();
    [[nodiscard]] std::string error(std::string_view sqlstate);

    model_database* db_;
    std::int32_t pid_;
    transaction_model transaction_;
    transaction_model::values reported_;
    std::map<std::string, prepared, std::less<>> prepared_;
    std::optional<statement> portal_;
    std::optional<statement> sending_;  // its rows are sent, its end is not
    bool by_query_ = false, suspends_ = false;
    std::string in_;
    bool started_ = false, skipping_ = false, refused_ = false, cancelled_ = false, busy_ = false;
    bool ended_ = false, tainted_ = false, refuses_restore_ = false;
};

}  // namespace core_test
