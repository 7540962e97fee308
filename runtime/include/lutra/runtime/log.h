#ifndef LUTRA_RUNTIME_LOG_H_
#define LUTRA_RUNTIME_LOG_H_

#include <functional>
#include <string>

namespace lutra {

enum class LogLevel {
  kWarning = 1,  // the result may not be what was meant
  kInfo = 2,     // it is, but at another cost
};

// Takes one line, without its end. Must not call lutra; what it throws is lost.
using LogFunction = std::function<void(LogLevel, const std::string&)>;

// Where lutra says what is no error, up to `most`: nowhere at first, nor with
// an empty function. For the whole process; from any thread. The function is
// called by one thread at a time, and not any more when the next call of SetLog
// returns.
void SetLog(LogFunction function, LogLevel most = LogLevel::kWarning);

}  // namespace lutra

#endif  // LUTRA_RUNTIME_LOG_H_
