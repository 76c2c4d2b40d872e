#include "proxy/io/alert_sender.h"

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "config/webhook_url.h"
#include "proxy/io/control_parameters.h"
#include "proxy/io/log.h"
#include "proxy/io/webhook.h"

namespace pgsidecar::io {
namespace {

constexpr std::size_t most_waiting = 100;  // texts of one channel
constexpr int attempts = 3;
constexpr auto between_attempts = std::chrono::seconds{1};

config::settings of_alerts(config::settings s) {
    if (!s.alerts.connection.empty()) s.upstream.control_connection = s.alerts.connection;
    return s;
}

ops::alert_rules rules_of(const config::settings& s) {
    return {.target = s.performance_target,
            .window = s.alerts.window,
            .windows = s.alerts.windows,
            .min_statements = s.alerts.min_statements,
            .repeat_interval = s.alerts.repeat_interval,
            .max_tenants = s.alerts.max_tenants};
}

// Connects for each text: alerts are rare, and no connection then stands in anybody's way.
std::string notify(const config::settings& s, const std::string& text) {
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

}  // namespace

class alert_sender::channel {
  public:
    using delivery = std::function<std::string(const std::string&)>;  // empty, or why not

    channel(const char* name, delivery deliver)
        : name_{name}, deliver_{std::move(deliver)}, thread_{[this] { run(); }} {}
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
    [[nodiscard]] std::uint64_t given_up() const { return given_up_.load(); }

  private:
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
            why = deliver_(text);
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
    std::atomic<std::uint64_t> given_up_{0};
    std::thread thread_;
};

alert_sender::alert_sender(const config::settings& settings)
    : settings_{of_alerts(settings)}, watch_{rules_of(settings_)} {
    if (!settings_.alerts.notify_channel.empty())
        notify_ = std::make_unique<channel>(
            "NOTIFY", [this](const std::string& text) { return notify(settings_, text); });
    std::string ignored;
    if (const auto url = config::read_webhook_url(settings_.alerts.webhook_url, ignored))
        webhook_ =
            std::make_unique<channel>("the webhook", [this, to = *url](const std::string& t) {
                return post_json(to, t, settings_.alerts.webhook_timeout);
            });
}

alert_sender::~alert_sender() = default;

void alert_sender::send(const ops::alert_report& report) {
    if (report.empty()) return;
    for (const auto& one : report.named) {
        const bool fired = one.what == ops::alert::state::fired;
        fired ? log_warning(ops::to_line(one)) : log_info(ops::to_line(one));
        if (notify_) notify_->add(ops::to_json(one));
    }
    if (report.more_fired > 0)
        log_warning("alert fired: " + std::to_string(report.more_fired) + " more tenants");
    if (report.more_cleared > 0)
        log_info("alert cleared: " + std::to_string(report.more_cleared) + " more tenants");
    if (notify_ && report.more_fired + report.more_cleared > 0) {
        ops::alert_report rest = report;
        rest.named.clear();
        notify_->add(ops::to_json(rest));
    }
    if (webhook_) webhook_->add(ops::to_json(report));
}

std::uint64_t alert_sender::given_up() const {
    return (notify_ ? notify_->given_up() : 0) + (webhook_ ? webhook_->given_up() : 0);
}

}  // namespace pgsidecar::io
