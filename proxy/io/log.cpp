#include "proxy/io/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>
#include <utility>

#include "protocol/ascii.h"
#include "proxy/io/log_file.h"

namespace pgsidecar::io {
namespace {

// A file that may be moved away under it; spdlog's own keeps the one that it has opened.
class file_sink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    explicit file_sink(std::string path) : file_{std::move(path)} {}

  private:
    void sink_it_(const spdlog::details::log_msg& line) override {
        spdlog::memory_buf_t text;
        formatter_->format(line, text);
        file_.append({text.data(), text.size()});
    }
    void flush_() override {}

    log_file file_;
};

spdlog::level::level_enum level_of(config::log_level wanted) {
    switch (wanted) {
        case config::log_level::trace:
            return spdlog::level::trace;
        case config::log_level::debug:
            return spdlog::level::debug;
        case config::log_level::info:
            return spdlog::level::info;
        case config::log_level::warning:
            return spdlog::level::warn;
        case config::log_level::error:
            return spdlog::level::err;
        case config::log_level::off:
            return spdlog::level::off;
    }
    return spdlog::level::info;
}

void write(spdlog::level::level_enum level, std::string_view line) {
    auto* logger = spdlog::default_logger_raw();
    if (logger->should_log(level)) logger->log(level, "{}", protocol::printable(line));
}

}  // namespace

void open_log(const config::log_settings& wanted) {
    spdlog::sink_ptr to;
    if (wanted.file.empty())
        to = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    else
        to = std::make_shared<file_sink>(wanted.file);
    auto logger = std::make_shared<spdlog::logger>("pgsidecar", std::move(to));
    logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %z [%P] %l %v");
    logger->set_level(level_of(wanted.level));
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
}

void set_log_level(config::log_level wanted) {
    spdlog::default_logger_raw()->set_level(level_of(wanted));
}

void log_debug(std::string_view line) { write(spdlog::level::debug, line); }
void log_info(std::string_view line) { write(spdlog::level::info, line); }
void log_warning(std::string_view line) { write(spdlog::level::warn, line); }
void log_error(std::string_view line) { write(spdlog::level::err, line); }

}  // namespace pgsidecar::io
