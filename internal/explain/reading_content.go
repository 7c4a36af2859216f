package explain

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"alipay-notify/internal/events"
	"alipay-notify/internal/verify"
)

// checkDecryption tells whether there is content to go on with.
func (r *reading) checkDecryption() bool {
	if !r.note.Encrypted {
		r.step("decryption", Skip, "the content is not encrypted")
		r.content = r.note.Content
		return true
	}
	var keys []verify.AESKey
	if r.app != nil {
		keys = r.app.AESKeys
	}
	var err error
	if r.content, err = decrypt(r.note, keys); err == nil {
		r.step("decryption", OK, "")
		return true
	}
	r.step("decryption", Fail, "%v; %d were tried", err, len(keys))
	r.step("content", Skip, "the content cannot be read")
	r.step("typing", Skip, "the content cannot be read")
	r.explainDecryption(len(keys))
	return false
}

func (r *reading) explainDecryption(tried int) {
	what := fmt.Sprintf("none of the %d AES keys of app %s decrypts the content", tried, clip(r.appID))
	if tried == 0 {
		what = "the content is encrypted and app " + clip(r.appID) + " has no AES key"
	}
	for i := range r.in.Apps[:min(len(r.in.Apps), maxAESApps)] {
		other := &r.in.Apps[i]
		if other == r.app {
			continue
		}
		if _, err := decrypt(r.note, other.AESKeys); err == nil {
			r.cause("other_app_aes_key", 0, what+"; a key of app "+clip(other.ID)+" does",
				"the AES keys of the two apps were confused: move that key to app "+clip(r.appID))
			return
		}
	}
	r.cause("undecryptable", 0, what,
		"copy 接口内容加密方式 > AES密钥 of this app from the console into aes_keys; keep the old key beside it while both are in use")
}

// maxAESApps bounds how many other apps' AES keys are tried.
const maxAESApps = 16

func (r *reading) checkContent() {
	event, err := events.NewEvent(r.note, events.Facts{Content: r.content, ReceivedAt: r.in.At, Raw: string(r.in.Body)})
	if err != nil {
		r.step("content", Fail, "%v", err)
		r.step("typing", Skip, "the content is not whole")
		r.cause("bad_content", 0, err.Error(),
			"compare biz_content with the sender's log: it is signed like this, which no genuine notification is")
		return
	}
	if err := event.CheckSize(); err != nil {
		r.step("content", Fail, "%v", err)
		r.step("typing", Skip, "the content is too large")
		r.cause("raw_too_large", 0, err.Error(), "no genuine notification is as large; ask Alipay if it is one")
		return
	}
	if r.note.IsGatewayCheck() {
		r.checkAnswer()
		return
	}
	r.step("content", OK, "")
	if event.DecodeError != "" {
		r.step("typing", Fail, "stored untyped as %s: %s", event.Kind, event.DecodeError)
		return
	}
	r.step("typing", OK, "%s", event.Kind)
}

// checkAnswer is about the gateway check, which is answered and becomes no event.
func (r *reading) checkAnswer() {
	if r.app == nil || r.app.AnswersChecks {
		r.step("content", OK, "a gateway check: answered with signed XML, never an event")
	} else {
		r.step("content", Fail, "a gateway check, which needs the app's private key to be answered")
		r.cause("gateway_unanswered", 19, "this is the gateway check, and without the app's private key it cannot be answered",
			"configure private_key of app "+clip(r.appID)+", then save the 应用网关 in the console again")
	}
	r.step("typing", Skip, "a gateway check never becomes an event")
}

// clip bounds a stranger's words inside a sentence.
func clip(s string) string {
	text, _, _ := show(s[:min(len(s), 128)])
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == utf8.RuneError {
			return '?'
		}
		return c
	}, text)
}

// nearApps gives up to three configured apps whose ids are a slip away.
func nearApps(in *Input, id string) []string {
	if len(id) > 64 {
		return nil
	}
	var near []string
	for _, a := range in.Apps {
		if len(near) < 3 && len(a.ID) <= 64 && distance(id, a.ID) <= 2 && !slices.Contains(near, a.ID) {
			near = append(near, a.ID)
		}
	}
	return near
}

// distance is the number of inserted, removed, changed or swapped characters.
func distance(a, b string) int {
	two, one, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		two, one, row = one, row, two
		row[0] = i
		for j := 1; j <= len(b); j++ {
			d := one[j-1]
			if a[i-1] != b[j-1] {
				d++
			}
			d = min(d, one[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, two[j-2]+1)
			}
			row[j] = d
		}
	}
	return row[len(b)]
}
