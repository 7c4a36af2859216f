package platform

import (
	"fmt"
	"net/http"
)

// problem is an answer that is no result, as either protocol says it.
type problem struct {
	code    string // as v3 has it: invalid-app-id, or INVALID_PARAMETER
	message string
	status  int    // of v3; gateway.do always says 200
	v2      string // code of gateway.do: 40002
	sub     string // sub_code of gateway.do: isv.invalid-app-id, or INVALID_PARAMETER
	gateway bool   // found before any operation was asked: gateway.do does not sign it (PROTOCOL.md 4.2)
}

func (p *problem) Error() string { return p.code + ": " + p.message }

// v2Messages is what gateway.do says beside its codes (PROTOCOL.md 4.2).
var v2Messages = map[string]string{
	"10000": "Success",
	"10003": "Order success pay inprocess",
	"20000": "Service Currently Unavailable",
	"20001": "Insufficient Token Permissions",
	"40001": "Missing Required Arguments",
	"40002": "Invalid Arguments",
	"40003": "Insufficient Conditions",
	"40004": "Business Failed",
	"40005": "Call Limited",
	"40006": "Insufficient Permissions",
}

// gatewayCodes are the problems that are found before an operation is asked.
// The codes are of PROTOCOL.md 4.1, without the prefix that gateway.do has;
// which status goes with which is written nowhere but for the classes.
var gatewayCodes = map[string]struct {
	status      int
	v2, prefix  string
	description string
}{
	"missing-method":               {404, "40001", "isv.", "缺少方法名参数"},
	"invalid-method":               {404, "40002", "isv.", "不存在的方法名"},
	"missing-app-id":               {400, "40001", "isv.", "缺少AppID参数"},
	"invalid-app-id":               {400, "40002", "isv.", "无效的AppID参数"},
	"missing-signature":            {400, "40001", "isv.", "缺少签名参数"},
	"invalid-signature":            {400, "40002", "isv.", "验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配"},
	"missing-signature-type":       {400, "40001", "isv.", "缺少签名类型参数"},
	"invalid-signature-type":       {400, "40002", "isv.", "无效的签名类型"},
	"missing-timestamp":            {400, "40001", "isv.", "缺少时间戳参数"},
	"invalid-timestamp":            {400, "40002", "isv.", "非法的时间戳参数"},
	"missing-version":              {400, "40001", "isv.", "缺少版本参数"},
	"invalid-version":              {400, "40002", "isv.", "非法的版本参数"},
	"invalid-format":               {400, "40002", "isv.", "无效的数据格式"},
	"invalid-charset":              {400, "40002", "isv.", "字符集错误"},
	"missing-app-cert-sn":          {400, "40001", "isv.", "缺少应用公钥证书序列号"},
	"app-cert-not-exist":           {400, "40002", "isv.", "应用公钥证书不存在"},
	"missing-alipay-root-cert-sn":  {400, "40001", "isv.", "缺少支付宝根证书序列号"},
	"invalid-alipay-root-cert-sn":  {400, "40002", "isv.", "支付宝根证书序列号不匹配"},
	"invalid-parameter":            {400, "40002", "isv.", "参数无效"},
	"illegal-json":                 {400, "40002", "isv.", "请求参数不是合法的JSON"},
	"suspected-attack":             {400, "40002", "isv.", "非法请求"},
	"missing-encrypt-key":          {400, "40001", "isv.", "缺少加密配置"},
	"invalid-encrypt-type":         {400, "40002", "isv.", "无效的加密类型"},
	"decryption-error-unknown":     {400, "40002", "isv.", "解密出错，未知异常"},
	"invalid-auth-token":           {401, "20001", "aop.", "无效的访问令牌"},
	"invalid-app-auth-token":       {401, "20001", "aop.", "无效的应用授权令牌"},
	"app-call-limited":             {429, "40005", "isv.", "应用调用次数超限"},
	"unknow-error":                 {500, "20000", "isp.", "服务暂不可用"},
	"accepted-and-not-yet-handled": {202, "10003", "", "请求已受理，请以相同参数重试"},
}

// refuse is a problem of the gateway's; detail is added to what it says.
func refuse(code, detail string) *problem {
	g := gatewayCodes[code]
	if detail != "" {
		detail = "，" + detail
	}
	return &problem{code: code, message: g.description + detail, status: g.status, v2: g.v2, sub: g.prefix + code, gateway: true}
}

// decline is a problem of the operation's own, with a code of PROTOCOL.md 5.
func decline(code, format string, args ...any) *problem {
	p := &problem{code: code, message: fmt.Sprintf(format, args...), status: http.StatusBadRequest, v2: "40004", sub: code}
	if code == "SYSTEM_ERROR" {
		p.status, p.v2 = http.StatusInternalServerError, "20000"
	}
	return p
}
