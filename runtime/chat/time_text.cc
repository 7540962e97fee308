#include "runtime/chat/time_text.h"

#include <ctime>
#include <utility>

#include "runtime/chat/budget.h"

namespace lutra::chat {
namespace {

constexpr std::string_view kDays[] = {"Sunday",    "Monday",   "Tuesday",
                                      "Wednesday", "Thursday", "Friday",
                                      "Saturday"};
constexpr std::string_view kMonths[] = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};

bool IsLeap(int year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int DaysIn(int year, int month) {
  static constexpr int kDaysIn[] = {31, 28, 31, 30, 31, 30,
                                    31, 31, 30, 31, 30, 31};
  return kDaysIn[month - 1] + (month == 2 && IsLeap(year) ? 1 : 0);
}

// From 0.
int DayOfYear(const ChatTime& time) {
  int day = time.day - 1;
  for (int month = 1; month < time.month; ++month) {
    day += DaysIn(time.year, month);
  }
  return day;
}

// Days since the first of January of the year 1, a Monday.
int Days(const ChatTime& time) {
  const int years = time.year - 1;
  return years * 365 + years / 4 - years / 100 + years / 400 + DayOfYear(time);
}

// From Sunday, 0.
int DayOfWeek(const ChatTime& time) { return (Days(time) + 1) % 7; }

int WeeksOf(int year) {
  // Years that begin with a Thursday, or leap years with a Wednesday.
  const int first = DayOfWeek({year, 1, 1, 0, 0, 0});
  return first == 4 || (first == 3 && IsLeap(year)) ? 53 : 52;
}

// The year and week of ISO 8601.
std::pair<int, int> IsoWeek(const ChatTime& time) {
  const int weekday = (DayOfWeek(time) + 6) % 7;  // from Monday
  const int week = (DayOfYear(time) - weekday + 10) / 7;
  if (week < 1) return {time.year - 1, WeeksOf(time.year - 1)};
  if (week > WeeksOf(time.year)) return {time.year + 1, 1};
  return {time.year, week};
}

class TimeFormatter {
 public:
  explicit TimeFormatter(const ChatTime& time) : time_(time) {}

  std::string Run(std::string_view format) {
    for (size_t i = 0; i < format.size(); ++i) {
      if (format[i] != '%' || i + 1 == format.size()) {
        text_ += format[i];
        continue;
      }
      flag_ = '\0';
      ++i;
      while (i + 1 < format.size() &&
             std::string_view("-_0^#").find(format[i]) !=
                 std::string_view::npos) {
        flag_ = format[i++];
      }
      Directive(format[i]);
    }
    return std::move(text_);
  }

 private:
  void Number(int value, size_t width, char fill = '0') {
    if (flag_ == '_') fill = ' ';
    if (flag_ == '0') fill = '0';
    const std::string digits = std::to_string(value);
    if (flag_ != '-' && digits.size() < width) {
      text_.append(width - digits.size(), fill);
    }
    text_ += digits;
  }
  void Name(std::string_view name) {
    for (const char c : name) {
      text_ += flag_ == '^' || flag_ == '#'
                   ? static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c)
                   : c;
    }
  }
  void All(std::string_view format) {
    const char flag = std::exchange(flag_, '\0');
    if (flag != '\0') {
      FailRun(
          "strftime_now(): flags of %c, %D, %F, %R, %T, %r, %x and %X are "
          "not supported");
    }
    text_ += TimeFormatter(time_).Run(format);
  }
  int Hour12() const { return time_.hour % 12 == 0 ? 12 : time_.hour % 12; }

  void Directive(char c) {
    if (Date(c) || Week(c) || Clock(c)) return;
    switch (c) {
      case '%':
        text_ += '%';
        return;
      case 'n':
        text_ += '\n';
        return;
      case 't':
        text_ += '\t';
        return;
      case 'z':
      case 'Z':
        return;  // there is no time zone
      case 's':  // needs the time zone
      case 'E':
      case 'O':
      case '+':
        FailRun("strftime_now(): the directive is not supported");
      default:
        // What is none stays.
        text_ += '%';
        if (flag_ != '\0') text_ += flag_;
        text_ += c;
    }
  }

  bool Date(char c) {
    const auto month = static_cast<size_t>(time_.month - 1);
    switch (c) {
      case 'Y':
        Number(time_.year, 4);
        return true;
      case 'C':
        Number(time_.year / 100, 2);
        return true;
      case 'y':
        Number(time_.year % 100, 2);
        return true;
      case 'm':
        Number(time_.month, 2);
        return true;
      case 'd':
        Number(time_.day, 2);
        return true;
      case 'e':
        Number(time_.day, 2, ' ');
        return true;
      case 'j':
        Number(DayOfYear(time_) + 1, 3);
        return true;
      case 'B':
        Name(kMonths[month]);
        return true;
      case 'b':
      case 'h':
        Name(kMonths[month].substr(0, 3));
        return true;
      case 'D':
      case 'x':
        All("%m/%d/%y");
        return true;
      case 'F':
        All("%Y-%m-%d");
        return true;
      default:
        return false;
    }
  }

  bool Week(char c) {
    const int day = DayOfWeek(time_);
    const int year_day = DayOfYear(time_);
    switch (c) {
      case 'A':
        Name(kDays[static_cast<size_t>(day)]);
        return true;
      case 'a':
        Name(kDays[static_cast<size_t>(day)].substr(0, 3));
        return true;
      case 'u':
        Number(day == 0 ? 7 : day, 1);
        return true;
      case 'w':
        Number(day, 1);
        return true;
      case 'U':
        Number((year_day + 7 - day) / 7, 2);
        return true;
      case 'W':
        Number((year_day + 7 - (day + 6) % 7) / 7, 2);
        return true;
      case 'V':
        Number(IsoWeek(time_).second, 2);
        return true;
      case 'G':
        Number(IsoWeek(time_).first, 4);
        return true;
      case 'g':
        Number(IsoWeek(time_).first % 100, 2);
        return true;
      default:
        return false;
    }
  }

  bool Clock(char c) {
    switch (c) {
      case 'H':
        Number(time_.hour, 2);
        return true;
      case 'k':
        Number(time_.hour, 2, ' ');
        return true;
      case 'I':
        Number(Hour12(), 2);
        return true;
      case 'l':
        Number(Hour12(), 2, ' ');
        return true;
      case 'M':
        Number(time_.minute, 2);
        return true;
      case 'S':
        Number(time_.second, 2);
        return true;
      case 'f':
        text_ += "000000";
        return true;
      case 'p':
        text_ += flag_ == '#' ? (time_.hour < 12 ? "am" : "pm")
                              : (time_.hour < 12 ? "AM" : "PM");
        return true;
      case 'P':
        text_ += time_.hour < 12 ? "am" : "pm";
        return true;
      case 'R':
        All("%H:%M");
        return true;
      case 'T':
      case 'X':
        All("%H:%M:%S");
        return true;
      case 'r':
        All("%I:%M:%S %p");
        return true;
      case 'c':
        All("%a %b %e %H:%M:%S %Y");
        return true;
      default:
        return false;
    }
  }

  const ChatTime time_;
  char flag_ = '\0';
  std::string text_;
};

}  // namespace

std::string TimeText(const ChatTime& time, std::string_view format) {
  return TimeFormatter(time).Run(format);
}

ChatTime LocalTime() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
#ifdef _WIN32
  localtime_s(&parts, &now);
#else
  localtime_r(&now, &parts);
#endif
  return {parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
          parts.tm_hour,        parts.tm_min,     parts.tm_sec};
}

void CheckTime(const ChatTime& time) {
  const bool good = time.year >= 1 && time.year <= 9999 && time.month >= 1 &&
                    time.month <= 12 && time.day >= 1 &&
                    time.day <= DaysIn(time.year, time.month) &&
                    time.hour >= 0 && time.hour <= 23 && time.minute >= 0 &&
                    time.minute <= 59 && time.second >= 0 && time.second <= 60;
  if (!good) Fail(ChatTemplateFault::kCaller, "chat: the time is none");
}

}  // namespace lutra::chat
