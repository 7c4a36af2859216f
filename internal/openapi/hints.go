package openapi

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// advice says what to do about a code (4.1, 4.2, 5). Codes of gateway.do lose
// isv. and the like before they are looked up.
type advice struct {
	codes string // apart by spaces
	text  string
}

var advices = []advice{
	{"invalid-signature missing-signature missing-signature-key",
		"the console must hold the public half (应用公钥) of this very private key, for this app and environment; else something on the way rewrites requests"},
	{"invalid-signature-type missing-signature-type invalid-signature-type-said-interface missing-default-signature-type " +
		"missing-signature-config unsupported-expired-app-key-sign",
		"set the app to RSA2 in the console (接口加签方式)"},
	{"invalid-timestamp illegal-timestamp missing-timestamp",
		"the request's time was refused: set this machine's clock by NTP, Alipay allows ten minutes"},
	{"invalid-app-id missing-app-id", "the app id is not known there: does the base URL fit, sandbox or production?"},
	{"invalid-app-state", "the app is not online: publish it in the console"},
	{"app-cert-expired app-key-security-risk app-cert-not-exist missing-app-cert-sn",
		"install the app certificate (appCertPublicKey) that the console shows now"},
	{"alipay-cert-not-exist missing-alipay-cert-sn", "install alipayCertPublicKey_RSA2.crt from the console"},
	{"missing-alipay-root-cert-sn invalid-alipay-root-cert-sn", "install alipayRootCert.crt from the console: the number covers each of its RSA certificates"},
	{"invalid-app-auth-token invalid-app-auth-token-no-api app-auth-token-time-out missing-app-access-token invalid-app-auth-relations invalid-auth-relations",
		"the merchant's authorisation (app_auth_token) is missing, ended, or does not cover this operation: ask the merchant again"},
	{"invalid-auth-token auth-token-time-out missing-session access-data-time-out USER_AUTH_FAIL", "the user's auth_token is wrong or ended: ask the user again"},
	//nolint:misspell // the codes are Alipay's
	{"insufficient-isv-permissions insufficient-user-permissions forbidden-api no-product-reg-by-partner invalid-product " +
		"sevice-not-been-subscribed-to invalid-subscribe-relations self-invoke-forbidden not-support-app-auth",
		"the app may not call this: bind the capability and sign the product in the console"},
	{"illegal-client-ip", "add this machine's public address to the app's white list (IP 白名单)"},
	{"app-call-limited method-call-limited call-limited app-auth-invoke-limit 40005", "too many requests: lower the rate; the quota is the app's, whoever else uses it"},
	{"exceed-api-balance", "the quota of this operation is used up: wait for the next period or buy more"},
	{"app-api-punished suspected-attack", "Alipay has blocked the app for this operation: ask its support"},
	{"invalid-method missing-method invalid-app-method", "Alipay does not know this method there: check its name, and whether the other gateway has it"},
	{"missing-encrypt-type missing-encrypt-key invalid-encrypt-type invalid-encrypt decryption-error decryption-error-missing-encrypt-type " +
		"decryption-error-not-valid-encrypt-type decryption-error-not-valid-encrypt-key decryption-error-unknown",
		"content encryption does not fit: compare the AES key and whether it is switched on with the console (接口内容加密方式)"},
	{"invalid-parameter INVALID_PARAMETER illegal-json invalid-request-data 40001 40002", "the message names the parameter: correct it; the same request will fail again"},
	{"ACTIVITY_NOT_PERMISSION MERCHANT_RELATION_NOT_EXIST", "the activity is not this merchant's: check merchant_id and merchant_access_mode (SELF_MODE or AGENCY_MODE)"},
	{"ACTIVITY_NOT_EXIST", "Alipay does not know this activity: check the id, the app and the environment"},
	{"ACTIVITY_NOT_ACTIVE ACTIVITY_NOT_START", "publish the activity first, or wait for its start"},
	{"ACTIVITY_IS_END ACTIVITY_IS_STOPED", "the activity is over"},
	{"BUDGET_NOT_ENOUGH", "append to the activity's budget first"},
	{"COUNT_OVER_LIMIT", "the user has as many as the activity's rules allow"},
	{"MATERIAL_AUDIT_WAITING", "the material is being reviewed: ask again later"},
	{"BUSINESS_HAS_RISK", "Alipay's risk control refuses it: ask its support"},
	{"VOUCHER_NOT_EXIST", "Alipay does not know this voucher: check the id, and that user and merchant are its own"},
	{"CARD_NOT_EXIT", "Alipay does not know this card: check the number and target_card_no_type; a dynamic code lives for minutes"},
	{"NO_CARD_TYPE TEMPLATE_NOT_EXIT", "the card template is not this app's, or not this environment's"},
	{"TEMPLATE_OVER_LIMIT", "the merchant has as many card templates as it may"},
	{"OPEN_CARD_NEED_OPENFORM", "this template wants the user's form: open the card through it, not by this call"},
	{"OPEN_CARD_CONCURRENTLY", "another opening for the same user is at work: query first, then repeat with the same out_serial_no"},
	{"CARD_HAS_OPENED", "the user has this card: query it"},
	{"CARD_IS_DELETED_ALREADY", "the card is gone: nothing is left to do"},
	{"BIND_ACCOUNT_NO_NULL DISPLAY_NAME_IS_NULL FROM_USER_ID_NULL ACCOUNT_PARAMS_NOT_ENOUGH AGREEMENT_ID_NULL", "a field is missing: the code names it"},
	{"DISPLAY_NAME_EXCEED_LENGTH REAL_NAME_EXCEED_LENGTH", "shorten the name to ten characters"},
	{"USERINFO_NOT_EXIST OPEN_ID_IS_ILLEGAL", "the user id is not one of this app's"},
	{"EXCEED_THIRD_ACCOUNT_LIMIT", "the user has as many bindings as there may be: delete one first"},
}

// adviceFor finds what to do about a code.
func adviceFor(code string) string {
	for _, a := range advices {
		if slices.Contains(strings.Fields(a.codes), code) {
			return a.text
		}
	}
	return ""
}

// settle makes an error that of the whole call: what an earlier attempt may have
// done is not undone by a later one that was not even sent. And it fills in what
// to do next, where nobody has said it yet.
func (e *Error) settle() {
	if e.Earlier && (e.Kind == Unavailable || e.Kind == Throttled) {
		e.Kind = Uncertain
	}
	e.Hint = cmp.Or(e.Hint, adviceFor(e.Reason()), adviceFor(e.Code), e.byKind())
	if e.Skew > maxAge || e.Skew < -maxAge {
		e.Hint = fmt.Sprintf("this machine's clock is %s; %s", ahead(e.Skew), e.Hint)
	}
	switch {
	case e.Kind == Refused && e.Earlier:
		e.Hint += "; an earlier attempt of this call may have done it: query before you believe the refusal"
	case e.MayHaveHappened():
		e.Hint += "; " + e.repeat()
	}
	e.Hint = strings.TrimPrefix(e.Hint, "; ")
}

func (e *Error) byKind() string {
	switch e.Kind {
	case Unavailable:
		return "nothing was sent: check the network, DNS, proxy and base URL"
	case Throttled:
		return "nothing happened: lower the rate"
	case Uncertain:
		if !e.Write {
			return "a query changes nothing: ask again"
		}
	case Garbled:
		return "check the base URL and proxies on the way"
	case Refused:
		if len(e.Links) > 0 {
			return "see " + e.Links[0]
		}
		return "look the code up in the operation's documentation"
	}
	return ""
}

// repeat says how a write whose outcome is unknown is settled.
func (e *Error) repeat() string {
	if e.Repeat == "" {
		return "it may have happened: query before you repeat it"
	}
	return "it may have happened: repeat with the same " + e.Repeat + " and the same parameters, never with a new one"
}

func ahead(skew time.Duration) string {
	if skew < 0 {
		return (-skew).String() + " behind Alipay's"
	}
	return skew.String() + " ahead of Alipay's"
}
