package saga

import (
	"errors"
	"math"
	"time"
)

// Time is an instant in microseconds since the Unix epoch, UTC, between the
// years 1 and 9999. [Never] lies behind all others.
type Time int64

// Never stands where a record has no time: a retention without an end, a
// replay not completed. It is written as null.
const Never Time = math.MaxInt64

var (
	errTime = errors.New("an RFC 3339 time with an offset was expected, such as 2026-11-22T22:08:59.119505+00:00")

	minTime = At(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))
	maxTime = At(time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC))
)

// At converts a time, cut to whole microseconds.
func At(t time.Time) Time { return Time(t.UnixMicro()) }

// Time converts back, in UTC.
func (t Time) Time() time.Time { return time.UnixMicro(int64(t)).UTC() }

// Add moves t by d, cut to microseconds; Never stays, and so does what would
// leave the years that can be written.
func (t Time) Add(d time.Duration) Time {
	if t == Never {
		return Never
	}
	return max(minTime, min(maxTime, t+Time(d.Microseconds())))
}

// String is the spelling of files and answers: UTC with the offset +00:00, six
// digits of fraction, none when it is zero. Texts of it sort as times do, also
// within a second: '+' sorts before '.'.
func (t Time) String() string { return string(t.AppendText(nil)) }

// AppendText appends the spelling of String.
func (t Time) AppendText(dst []byte) []byte {
	layout := "2006-01-02T15:04:05.000000+00:00"
	if t%1_000_000 == 0 {
		layout = "2006-01-02T15:04:05+00:00"
	}
	return t.Time().AppendFormat(dst, layout)
}

// AppendJSON appends the spelling of String as a JSON string, or null for
// Never.
func (t Time) AppendJSON(dst []byte) []byte {
	if t == Never {
		return append(dst, "null"...)
	}
	return append(t.AppendText(append(dst, '"')), '"')
}

// MarshalJSON is AppendJSON for encoding/json.
func (t Time) MarshalJSON() ([]byte, error) { return t.AppendJSON(nil), nil }

// ParseTime reads an RFC 3339 time with an offset: fields of two digits, 1 to
// 9 digits of fraction cut to microseconds, an offset of at most 23:59 or Z,
// the years 0001 to 9999 in UTC.
func ParseTime(s string) (Time, error) {
	rest, ok := cutDateTime(s)
	if !ok || !isOffset(rest) {
		return 0, errTime
	}
	return parse(s)
}

// ParseStoredTime also takes a time without an offset, as UTC: other writers
// leave it out.
func ParseStoredTime(s string) (Time, error) {
	if rest, ok := cutDateTime(s); ok && rest == "" {
		s += "Z"
	}
	return ParseTime(s)
}

// parse leaves the calendar to the standard library; the shape is checked.
func parse(s string) (Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, errTime
	}
	if at := At(t); minTime <= at && at <= maxTime {
		return at, nil
	}
	return 0, errors.New("a time between the years 0001 and 9999 in UTC was expected")
}

// cutDateTime cuts date, time and fraction off the front of s.
func cutDateTime(s string) (rest string, ok bool) {
	const shape = "dddd-dd-ddTdd:dd:dd"
	if !hasShape(s, shape) {
		return "", false
	}
	rest = s[len(shape):]
	if rest == "" || rest[0] != '.' {
		return rest, true
	}
	n := 1
	for n < len(rest) && isDigit(rest[n]) {
		n++
	}
	return rest[n:], 2 <= n && n <= 10
}

func isOffset(s string) bool {
	if s == "Z" {
		return true
	}
	return len(s) == 6 && (s[0] == '+' || s[0] == '-') && hasShape(s[1:], "dd:dd") && s[1:3] <= "23" && s[4:6] <= "59"
}

// hasShape reports whether s starts like shape, in which d stands for a digit.
func hasShape(s, shape string) bool {
	if len(s) < len(shape) {
		return false
	}
	for i := range len(shape) {
		if shape[i] == 'd' && !isDigit(s[i]) || shape[i] != 'd' && s[i] != shape[i] {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
