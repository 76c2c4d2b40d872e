#include "proxy/io/alert_sender.h"

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "config/webhook_url.h"
#include "proxy/io/control_parameters.h"
#include "proxy/io/event_log.h"
#include "proxy/io/log.h"
#include "proxy/io/webhook.h"

namespace pgsidecar::io {
namespace {

constexpr std::size_t most_waiting = 100;  // texts of one channel
constexpr int attempts = 3;
constexpr auto between_attempts = std::chrono::seconds{1};
constexpr std::string_view fired_word = "alert fired: ", cleared_word = "alert cleared: ";

ops::alert_rules rules_of(const config::settings& s) {
    using none = std::chrono::milliseconds;
    return {.target = s.alerts.enable_alerts ? s.performance_target : none{0},
            .window = s.alerts.window,
            .windows = s.alerts.windows,
            .min_statements = s.alerts.min_statements,
            .repeat_interval = s.alerts.repeat_interval,
            .max_tenants = s.alerts.max_tenants};
}

// Connects for each text: alerts are rare, and no connection then stands in anybody's way.
std::string notify(const config::settings& now, const std::string& text) {
    if (now.alerts.notify_channel.empty()) return {};
    auto s = now;
    if (!s.alerts.connection.empty()) s.upstream.control_connection = s.alerts.connection;
    const auto connection = control_parameters{s}.application_name("pgsidecar alerts").connect();
    if (PQstatus(connection.get()) == CONNECTION_OK) {
        (void)result_ptr{PQexec(connection.get(), "SET statement_timeout = '10s'")};
        const std::array<const char*, 2> values{s.alerts.notify_channel.c_str(), text.c_str()};
        const result_ptr r{PQexecParams(connection.get(), "SELECT pg_catalog.pg_notify($1, $2)", 2,
                                        nullptr, values.data(), nullptr, nullptr, 0)};
        if (PQresultStatus(r.get()) == PGRES_TUPLES_OK) return {};
    }
    const auto why = first_line(PQerrorMessage(connection.get()));
    return why.empty() ? "no connection" : why;
}

std::string tell_machine(const config::settings& s, const std::string& line) {
    if (!s.alerts.event_log) return {};
    return write_event(
        line.starts_with(fired_word) ? event_severity::warning : event_severity::notice, line);
}

std::string post(const config::settings& s, const std::string& text) {
    std::string ignored;
    const auto url = config::read_webhook_url(s.alerts.webhook_url, ignored);
    return url ? post_json(*url, text, s.alerts.webhook_timeout) : std::string{};
}

}  // namespace

class alert_sender::channel {
  public:
    using settings_ptr = std::shared_ptr<const config::settings>;
    // By these settings, which may name nowhere to deliver it to: empty, or why it was not
    // possible.
    using delivery = std::string (*)(const config::settings&, const std::string&);

    channel(const char* name, delivery how, settings_ptr now)
        : name_{name}, deliver_{how}, settings_{std::move(now)}, thread_{[this] { run(); }} {}
    ~channel() {
        {
            const std::lock_guard lock{mutex_};
            stopping_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }
    channel(const channel&) = delete;
    channel& operator=(const channel&) = delete;

    void add(std::string text) {
        {
            const std::lock_guard lock{mutex_};
            if (waiting_.size() >= most_waiting) {
                ++given_up_;
                return;
            }
            waiting_.push_back(std::move(text));
        }
        changed_.notify_all();
    }
    void adopt(settings_ptr next) {
        const std::lock_guard lock{mutex_};
        settings_ = std::move(next);
    }
    [[nodiscard]] std::uint64_t given_up() const { return given_up_.load(); }

  private:
    [[nodiscard]] settings_ptr settings() const {
        const std::lock_guard lock{mutex_};
        return settings_;
    }

    void run() {
        while (true) {
            std::string text;
            {
                std::unique_lock lock{mutex_};
                changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
                if (stopping_) return;
                text = std::move(waiting_.front());
                waiting_.pop_front();
            }
            deliver(text);
        }
    }

    void deliver(const std::string& text) {
        std::string why;
        for (int i = 0; i < attempts; ++i) {
            if (i > 0) {
                std::unique_lock lock{mutex_};
                if (changed_.wait_for(lock, between_attempts, [this] { return stopping_; })) return;
            }
            why = deliver_(*settings(), text);
            if (why.empty()) return;
        }
        log_warning(std::string{"alerts: "} + name_ + " not delivered, " +
                    std::to_string(++given_up_) + " since the start: " + why);
    }

    const char* const name_;
    const delivery deliver_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::string> waiting_;
    bool stopping_ = false;
    settings_ptr settings_;
    std::atomic<std::uint64_t> given_up_{0};
    std::thread thread_;
};

alert_sender::alert_sender(std::shared_ptr<const config::settings> settings)
    : watch_{rules_of(*settings)} {
    adopt(std::move(settings));
}

// A thread that is there stays, also where it has nothing to deliver for a while: its end would
// have to be waited for.
void alert_sender::adopt(std::shared_ptr<const config::settings> settings) {
    watch_.set(rules_of(*settings));
    const auto& s = settings->alerts;
    const auto use = [&](auto& one, bool wanted, const char* name, channel::delivery deliver) {
        if (one) return one->adopt(settings);
        if (wanted) one = std::make_unique<channel>(name, deliver, settings);
    };
    const bool on = s.enable_alerts;
    use(event_log_, on && s.event_log, "the event log", tell_machine);
    use(notify_, on && !s.notify_channel.empty(), "NOTIFY", notify);
    use(webhook_, on && !s.webhook_url.empty(), "the webhook", post);
}

alert_sender::~alert_sender() = default;

void alert_sender::send(const ops::alert_report& report) {
    if (report.empty()) return;
    const auto say = [this](bool fired, const std::string& line) {
        fired ? log_warning(line) : log_info(line);
        if (event_log_) event_log_->add(line);
    };
    const auto more = [](std::string_view word, std::size_t count) {
        return std::string{word} + std::to_string(count) + " more tenants";
    };
    for (const auto& one : report.named) {
        say(one.what == ops::alert::state::fired, ops::to_line(one));
        if (notify_) notify_->add(ops::to_json(one));
    }
    if (report.more_fired > 0) say(true, more(fired_word, report.more_fired));
    if (report.more_cleared > 0) say(false, more(cleared_word, report.more_cleared));
    if (notify_ && report.more_fired + report.more_cleared > 0) {
        ops::alert_report rest = report;
        rest.named.clear();
        notify_->add(ops::to_json(rest));
    }
    if (webhook_) webhook_->add(ops::to_json(report));
}

std::uint64_t alert_sender::given_up() const {
    std::uint64_t sum = 0;
    for (const auto* one : {&event_log_, &notify_, &webhook_})
        if (*one) sum += (*one)->given_up();
    return sum;
}

}  // namespace pgsidecar::io
