package ingest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"alipay-notify/internal/events"
	"alipay-notify/internal/fault"
	"alipay-notify/internal/verify"
)

// Reply is an answer that is more than one of the protocol's two words: the
// signed XML of the 生活号 gateway (PROTOCOL.md 2.7).
type Reply struct {
	ContentType string
	Body        []byte
}

// Gateway answers the requests of the 生活号 gateway for one app. It is
// immutable and safe for concurrent use.
type Gateway struct {
	appID      string
	key        verify.PrivateKey
	bindingURL string
	checks     map[checkAnswer]Reply
}

// checkAnswer names one of the answers to the gateway check.
type checkAnswer struct {
	charset string
	proved  bool
}

// NewGateway signs the answers to the gateway check beforehand, both of them
// and for each charset, so that a stranger cannot buy operations with the
// private key by sending checks. bindingURL is the page for a user who asks to
// bind a member's account; it may be empty.
func NewGateway(appID string, key verify.PrivateKey, bindingURL string) (*Gateway, error) {
	g := &Gateway{appID: appID, key: key, bindingURL: bindingURL, checks: make(map[checkAnswer]Reply)}
	for _, charset := range []string{"GBK", "GB18030", "UTF-8"} {
		for _, proved := range []bool{true, false} {
			inner := "<success>true</success>"
			if !proved {
				inner = "<success>false</success><error_code>VERIFY_FAILED</error_code>"
			}
			reply, err := g.sign(inner+"<biz_content>"+key.PublicBase64()+"</biz_content>", charset)
			if err != nil {
				return nil, err
			}
			g.checks[checkAnswer{charset, proved}] = reply
		}
	}
	return g, nil
}

// gatewayCharset gives one of the three charsets that we answer in.
func gatewayCharset(declared string) string {
	switch strings.ToLower(declared) {
	case "utf-8", "utf8":
		return "UTF-8"
	case "gb18030":
		return "GB18030"
	}
	return "GBK"
}

// sign wraps the inner text. The signature covers its bytes in the charset of
// the answer, verbatim.
func (g *Gateway) sign(inner, charset string) (Reply, error) {
	signed := inner
	var err error
	switch charset {
	case "GBK":
		signed, err = simplifiedchinese.GBK.NewEncoder().String(inner)
	case "GB18030":
		signed, err = simplifiedchinese.GB18030.NewEncoder().String(inner)
	}
	if err != nil {
		return Reply{}, fmt.Errorf("write the answer in %s: %w", charset, err)
	}
	signature, err := g.key.Sign([]byte(signed))
	if err != nil {
		return Reply{}, err
	}
	body := `<?xml version="1.0" encoding="` + charset + `"?><alipay><response>` + signed +
		`</response><sign>` + signature + `</sign><sign_type>` + string(verify.RSA2) + `</sign_type></alipay>`
	return Reply{ContentType: "text/xml; charset=" + charset, Body: []byte(body)}, nil
}

// ack answers an event: with the page to bind an account where the user asked
// for that and one is configured, else with the plain acknowledgement.
func (g *Gateway) ack(n events.Notification, now time.Time) (Reply, error) {
	message, err := n.GatewayMessage()
	if err != nil {
		return Reply{}, err
	}
	head := "<XML><ToUserId>" + cdata(message.FromAlipayUserID) + "</ToUserId><AppId>" + cdata(g.appID) +
		"</AppId><CreateTime>" + strconv.FormatInt(now.UnixMilli(), 10) + "</CreateTime>"
	inner := head + "<MsgType><![CDATA[ack]]></MsgType></XML>"
	if message.Authentication && g.bindingURL != "" {
		inner = head + "<MsgType><![CDATA[image-text]]></MsgType><ArticleCount>1</ArticleCount><Articles><Item>" +
			"<Title><![CDATA[绑定会员]]></Title><Desc><![CDATA[点击绑定您的会员账号]]></Desc><ImageUrl><![CDATA[]]></ImageUrl>" +
			"<Url>" + cdata(g.bindingURL) + "</Url><AuthType><![CDATA[loginAuth]]></AuthType></Item></Articles></XML>"
	}
	return g.sign(inner, gatewayCharset(n.Charset))
}

// cdata quotes text so that it cannot end its own section.
func cdata(s string) string {
	return "<![CDATA[" + strings.ReplaceAll(s, "]]>", "]]]]><![CDATA[>") + "]]>"
}

// answerCheck answers a gateway check. Alipay's console shows the operator which
// of the two answers came, so a wrong key is told there and then.
func (p *Pipeline) answerCheck(pr proved, proof error, res *Result) {
	if pr.app.Gateway == nil && proof != nil {
		res.fail(proof) // a stranger must not be able to make us look unavailable
		return
	}
	if pr.app.Gateway == nil {
		res.fail(fault.Errorf(fault.Unavailable, "no_private_key", "the gateway check cannot be answered without the app's private_key"))
		return
	}
	reply := pr.app.Gateway.checks[checkAnswer{gatewayCharset(pr.notification.Charset), proof == nil}]
	res.Outcome, res.Reply = Checked, &reply
	if proof != nil {
		res.Reason, res.Err = fault.ReasonOf(proof), proof
	}
}

// acknowledge adds the signed XML to a result that says success to a 生活号
// event. Without a private key the plain word has to do; Alipay then comes
// again, and finds a duplicate.
func (p *Pipeline) acknowledge(pr proved, res *Result) {
	if pr.notification.Shape != events.Gateway || !res.Outcome.Acknowledged() || pr.app.Gateway == nil {
		return
	}
	reply, err := pr.app.Gateway.ack(pr.notification, p.now())
	if err != nil {
		res.Reason, res.Err = "gateway_ack", err // stored all the same
		return
	}
	res.Reply = &reply
}
