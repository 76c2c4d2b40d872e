// The portals of one session, as Bind made them and Close, the end of the transaction or a simple
// query took them away. Protocol 3.0, "Extended Query".
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "policy/facts.h"
#include "proxy/core/prepared.h"

namespace pgsidecar::core {

struct portal {
    prepared_ptr definition;  // null: of a statement that was never seen
    // What its set_config(name, $n, ...) will set; null: nothing, or not known.
    std::shared_ptr<const std::vector<policy::setting_change>> settings{};
    std::uint64_t read_by = 0;  // the revision of the settings when it was bound; 0 = in doubt
    std::uint32_t page = 0;     // rows after which an answer without a limit ends; 0 = none
};

class portals {
  public:
    // nullptr also for a portal without a definition.
    [[nodiscard]] const portal* find(std::string_view name) const {
        if (name.empty()) return unnamed_.definition ? &unnamed_ : nullptr;
        if (!named_) return nullptr;
        const auto it = named_->find(name);
        return it == named_->end() || !it->second.definition ? nullptr : &it->second;
    }
    void bind(std::string_view name, portal p) {
        if (name.empty()) {
            unnamed_ = std::move(p);
            return;
        }
        if (!named_) named_ = std::make_unique<names>();
        named_->insert_or_assign(std::string{name}, std::move(p));
    }
    void close(std::string_view name) {
        if (name.empty()) return drop_unnamed();
        if (!named_) return;
        if (const auto it = named_->find(name); it != named_->end()) named_->erase(it);
    }
    void drop_unnamed() { unnamed_ = {}; }
    void drop_named() { named_.reset(); }

  private:
    using names = std::map<std::string, portal, std::less<>>;
    portal unnamed_;
    std::unique_ptr<names> named_;  // few sessions have any
};

}  // namespace pgsidecar::core
