package openapi

import "context"

// AccountBind are the parameters of alipay.open.public.account.create and reset.
type AccountBind struct {
	BindAccountNo string `json:"bind_account_no,omitempty"` // required, 64: the membership number
	DisplayName   string `json:"display_name,omitempty"`    // required, 10
	RealName      string `json:"real_name,omitempty"`       // 10
	FromUserID    string `json:"from_user_id,omitempty"`    // 16; this one or the next is required
	OpenID        string `json:"open_id,omitempty"`         // 128
	AgreementID   string `json:"agreement_id,omitempty"`    // 32; required by reset: the binding that is replaced
	Remark        string `json:"remark,omitempty"`
}

// AccountBound is the answer: the binding's id.
type AccountBound struct {
	AgreementID string `json:"agreement_id,omitempty"`
}

// AccountCreate is alipay.open.public.account.create (添加绑定商户会员号): it binds a
// membership number to a follower. Alipay says that binding the same account
// again gives the first agreement_id; it has no number, so it is not repeated by
// itself. Codes: MENUKEY_NOT_EXIST, OPEN_ID_IS_ILLEGAL, BIND_ACCOUNT_FORMAT_ERROR,
// APP_INFO_ILLEGAL, FROM_USER_ID_NULL, ADD_BIND_ACCOUNT_FAIL,
// SAVE_THIRD_ACCOUNT_FAIL, USERINFO_NOT_EXIST, BIND_ACCOUNT_NO_NULL,
// DISPLAY_NAME_IS_NULL, DISPLAY_NAME_EXCEED_LENGTH, REAL_NAME_EXCEED_LENGTH,
// EXCEED_THIRD_ACCOUNT_LIMIT, SYSTEM_ERROR.
func (c *Client) AccountCreate(ctx context.Context, in AccountBind, opts ...Option) (Result[AccountBound], error) {
	return do[AccountBound](ctx, c, "alipay.open.public.account.create", in, opts)
}

// AccountReset is alipay.open.public.account.reset (重新设置绑定商家会员号): it
// replaces a binding. Codes: those of AccountCreate but USERINFO_NOT_EXIST, and
// AGREEMENT_ID_NULL, FORBIT_REMOVE_BIND_ACCOUNT (sic), REMOVE_BIND_ACCOUNT_FAIL,
// DELETE_THIRD_ACCOUNT_FAIL, FORBIT_REMOVE_OTHER_USER_BIND_AC.
func (c *Client) AccountReset(ctx context.Context, in AccountBind, opts ...Option) (Result[AccountBound], error) {
	return do[AccountBound](ctx, c, "alipay.open.public.account.reset", in, opts)
}

// AccountDelete are the parameters of alipay.open.public.account.delete:
// agreement_id, or bind_account_no with one of the users.
type AccountDelete struct {
	AgreementID   string `json:"agreement_id,omitempty"`    // 32
	BindAccountNo string `json:"bind_account_no,omitempty"` // 64
	FromUserID    string `json:"from_user_id,omitempty"`    // 16
	OpenID        string `json:"open_id,omitempty"`         // 128
}

// AccountDelete is alipay.open.public.account.delete (解除绑定商户会员号). Codes:
// OPEN_ID_IS_ILLEGAL, ACCOUNT_PARAMS_NOT_ENOUGH, FORBIT_REMOVE_BIND_ACCOUNT (sic),
// REMOVE_BIND_ACCOUNT_FAIL, SYSTEM_ERROR.
func (c *Client) AccountDelete(ctx context.Context, in AccountDelete, opts ...Option) (Result[Nothing], error) {
	return do[Nothing](ctx, c, "alipay.open.public.account.delete", in, opts)
}

// AccountQuery are the parameters of alipay.open.public.account.query: one of them.
type AccountQuery struct {
	UserID string `json:"user_id,omitempty"` // 16
	OpenID string `json:"open_id,omitempty"` // 128
}

// Accounts is the answer: what is bound to a user.
type Accounts struct {
	PublicBindAccounts []PublicBindAccount `json:"public_bind_accounts,omitempty"`
}

// PublicBindAccount is one membership number bound to a user.
type PublicBindAccount struct {
	AgreementID   string `json:"agreement_id,omitempty"`
	AppID         string `json:"app_id,omitempty"`
	BindAccountNo string `json:"bind_account_no,omitempty"`
	DisplayName   string `json:"display_name,omitempty"`
	FromUserID    string `json:"from_user_id,omitempty"`
	OpenID        string `json:"open_id,omitempty"`
	RealName      string `json:"real_name,omitempty"`
}

// AccountQuery is alipay.open.public.account.query (查询绑定商户会员号). Codes:
// OPEN_ID_IS_ILLEGAL, SYSTEM_ERROR.
func (c *Client) AccountQuery(ctx context.Context, in AccountQuery, opts ...Option) (Result[Accounts], error) {
	return do[Accounts](ctx, c, "alipay.open.public.account.query", in, opts)
}
