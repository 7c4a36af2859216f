package events

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The services of the 生活号 gateway (PROTOCOL.md 2.7).
const (
	ServiceCheck  = "alipay.service.check"                // the gateway URL is being activated
	ServiceNotify = "alipay.mobile.public.message.notify" // something happened on the account
)

// IsGatewayCheck tells whether the request only asks whether somebody is here.
// It is answered and never becomes an event.
func (n *Notification) IsGatewayCheck() bool { return n.Shape == Gateway && n.Type == ServiceCheck }

// What a document may cost before its sender is proved. Alipay's have some dozen
// elements in two levels below the root, and a few hundred bytes.
const (
	xmlDepth    = 8
	xmlElements = 256
	xmlBytes    = 32 << 10
)

// element is one XML element: text, or elements inside it.
type element struct {
	name     string
	text     strings.Builder
	children []*element
}

// parseXML reads one complete document: one root, nothing but space, comments
// and a prolog around it. A document type is refused, so that entities beyond
// the five of XML do not exist; attributes are passed over.
func parseXML(text string) (*element, error) {
	if len(text) > xmlBytes {
		return nil, errors.New("the XML is too long")
	}
	dec, elements := xml.NewDecoder(strings.NewReader(text)), 0
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 by now
	var root *element
	var open []*element
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("broken XML: %w", err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, errors.New("the XML has a document type")
		case xml.StartElement:
			if elements++; elements > xmlElements {
				return nil, errors.New("the XML has too many elements")
			}
			e := &element{name: t.Name.Local}
			switch {
			case len(open) > 0:
				parent := open[len(open)-1]
				parent.children = append(parent.children, e)
			case root == nil:
				root = e
			default:
				return nil, errors.New("the XML has two roots")
			}
			if open = append(open, e); len(open) > xmlDepth {
				return nil, errors.New("the XML is nested too deep")
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text.Write(t)
			} else if strings.TrimSpace(string(t)) != "" {
				return nil, errors.New("the XML has text outside its root")
			}
		}
	}
	if root == nil {
		return nil, errors.New("the XML has no root")
	}
	return root, nil
}

// child gives the text of a child element, or the empty string.
func (e *element) child(name string) string {
	for _, c := range e.children {
		if c.name == name {
			return strings.TrimSpace(c.text.String())
		}
	}
	return ""
}

// object gives the children of an element as a JSON object in their order.
// Those that share a name become one list, as XML has no other.
func (e *element) object() string {
	var members []member
	for _, c := range e.children {
		value := quote(strings.TrimSpace(c.text.String()))
		if len(c.children) > 0 {
			value = c.object()
		}
		members = append(members, newMember(c.name, value))
	}
	return string(appendObject(nil, gather(members)))
}

// gatewayXML reads the biz_content of a gateway request.
func (n *Notification) gatewayXML(content string) (*element, error) {
	text, _ := toUTF8(n.Charset, content)
	return textXML(text)
}

// textXML reads XML in UTF-8 with whatever is invalid in it.
func textXML(text string) (*element, error) { return parseXML(strings.ToValidUTF8(text, "�")) }

// setGatewayApp finds the app of a gateway request, which has no field for it:
// the AppId of its XML. The bytes are not proved yet; the name only chooses the
// keys that have to prove them.
func (n *Notification) setGatewayApp() error {
	root, err := n.gatewayXML(n.Content)
	if err != nil {
		return malformed("bad_biz_content", "biz_content is not one complete XML document")
	}
	id := root.child("AppId")
	if len(id) > 32 || strings.Trim(id, "0123456789") != "" {
		return malformed("bad_app_id", "AppId in the XML is not an app id")
	}
	// Retries repeat the time of the event, so its age is bounded as a send time's is.
	n.SentAt, _ = parseEpoch(root.child("CreateTime"))
	switch {
	case n.AppID == "":
		n.AppID = id
	case id != "" && id != n.AppID:
		return malformed("bad_app_id", "the app in the XML is not the app in the form")
	}
	return nil
}

// GatewayMessage is what an answer to a 生活号 event has to know of it.
type GatewayMessage struct {
	FromAlipayUserID string
	Authentication   bool // a click on the menu entry that asks to bind a member's account
}

// GatewayMessage reads a verified gateway event for its answer.
func (n *Notification) GatewayMessage() (GatewayMessage, error) {
	root, err := n.gatewayXML(n.Content)
	if err != nil {
		return GatewayMessage{}, err
	}
	return GatewayMessage{
		FromAlipayUserID: root.child("FromAlipayUserId"),
		Authentication:   root.child("EventType") == "click" && root.child("ActionParam") == "authentication",
	}, nil
}
