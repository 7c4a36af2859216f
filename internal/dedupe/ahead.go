package dedupe

import "alipay-notify/internal/fault"

// Ahead is what may begin before its caller runs again: a claim's answer comes to
// another goroutine, and with thirty others.
type Ahead = interface {
	// Begin does not block. It is called once the claim is held, from any goroutine.
	// done, which has room for it, is sent one value when there is nothing left to wait
	// for, and is not known here any more then.
	Begin(done chan struct{})
}

// afterClaim is the moment when the claim is held and nothing is under way. A crash
// leaves at most our lease, which ends by itself before the sender tries again.
func afterClaim() { fault.Point("after-claim") }
