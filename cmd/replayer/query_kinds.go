package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"alipay-notify/internal/openapi"
)

// activityQuestion asks for an activity by one of three operations.
func activityQuestion(name, of string) question {
	merchant := ""
	q := question{
		use: name + " ACTIVITY_ID...", short: "Ask for voucher activities (" + of + ")", mode: true,
		example: "  replayer query " + name + " 2026080100826004508401111111\n  replayer query " + name + " 2026080100826004508401111111 -o json",
		ask: func(q querying, ctx context.Context, key string) ([]queryRow, error) {
			in := openapi.ActivityQuery{ActivityID: key, MerchantAccessMode: q.mode, MerchantID: merchant}
			r, err := askActivity(ctx, q.client, name, in, q.over())
			if err != nil {
				return nil, err
			}
			return []queryRow{activityRow(r)}, nil
		},
	}
	if name == "activity" {
		q.flags = func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&merchant, "merchant-id", "", "the `merchant` that the activity belongs to")
		}
	}
	return q
}

// askActivity asks by the operation of a family.
func askActivity(ctx context.Context, c *openapi.Client, family string, in openapi.ActivityQuery, opts ...openapi.Option) (openapi.Result[openapi.Activity], error) {
	switch family {
	case "voucher":
		return c.VoucherQuery(ctx, in, opts...)
	case "ordervoucher":
		return c.OrderVoucherQuery(ctx, in, opts...)
	}
	return c.ActivityQuery(ctx, in, opts...)
}

func cardQuestion() question {
	var kind, user, openID string
	return question{
		use: "card CARD_NO...", short: "Ask for membership cards",
		example: "  replayer query card 0012345678901234\n  replayer query card 280012345678901234 --card-type D_QR_CODE --gateway v2",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&kind, "card-type", openapi.BizCard, "what CARD_NO is: BIZ_CARD (Alipay's own number), D_QR_CODE or D_BAR_CODE (of a dynamic code)")
			cmd.Flags().StringVar(&user, "user-id", "", "only if the card is this `user`'s")
			cmd.Flags().StringVar(&openID, "open-id", "", "the same, by `open_id`")
			completeFixed(cmd, "card-type", openapi.BizCard, openapi.DynamicQR, openapi.DynamicBar)
		},
		ask: func(q querying, ctx context.Context, key string) ([]queryRow, error) {
			in := openapi.CardQuery{TargetCardNo: key, TargetCardNoType: kind}
			if user != "" || openID != "" {
				in.CardUserInfo = &openapi.CardUserInfo{UserUniIDType: "UID", UserUniID: user, OpenID: openID}
			}
			r, err := q.client.CardQuery(ctx, in, q.over())
			if err != nil {
				return nil, err
			}
			return []queryRow{cardRow(r)}, nil
		},
	}
}

func templateQuestion() question {
	return question{
		use: "card-template TEMPLATE_ID...", short: "Ask for card templates",
		example: "  replayer query card-template 20200312000000000414103000300846",
		ask: func(q querying, ctx context.Context, key string) ([]queryRow, error) {
			r, err := q.client.TemplateQuery(ctx, openapi.TemplateQuery{TemplateID: key}, q.over())
			if err != nil {
				return nil, err
			}
			name := ""
			if s := r.Value.TemplateStyleInfo; s != nil {
				name = s.CardShowName
			}
			return []queryRow{newQueryRow(r.Response, "EXISTS", name, "a template of this app; cards can be opened with it")}, nil
		},
	}
}

func accountQuestion() question {
	openID := false
	return question{
		use: "account USER_ID...", short: "Ask what is bound to a follower of a 生活号",
		example: "  replayer query account 2088302463082075",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().BoolVar(&openID, "open-id", false, "the arguments are open ids")
		},
		ask: func(q querying, ctx context.Context, key string) ([]queryRow, error) {
			in := openapi.AccountQuery{UserID: key}
			if openID {
				in = openapi.AccountQuery{OpenID: key}
			}
			r, err := q.client.AccountQuery(ctx, in, q.over())
			if err != nil {
				return nil, err
			}
			if len(r.Value.PublicBindAccounts) == 0 {
				return []queryRow{newQueryRow(r.Response, "NONE", "", "nothing is bound to this user")}, nil
			}
			var rows []queryRow
			for _, b := range r.Value.PublicBindAccounts {
				row := newQueryRow(r.Response, "BOUND", "agreement "+b.AgreementID, "a membership number is bound to this user")
				row.Data = asJSON(b)
				rows = append(rows, row)
			}
			return rows, nil
		},
	}
}

func userVouchersQuestion() question {
	var in openapi.UserVoucherList
	limit, openIDs := 0, false
	return question{
		use: "user-vouchers USER_ID...", short: "List the vouchers of a user", mode: true,
		more: `

One of --belong-merchant and --sender-merchant is needed. Alipay tells vouchers that
expired within the last six months. A list that changes while it is read is read
again; one that never holds still ends with exit code 4.`,
		example: "  replayer query user-vouchers 2088302463082075 --sender-merchant 2088000000000000\n" +
			"  replayer query user-vouchers 2088302463082075 --belong-merchant 2088000000000000 --status USED -o ndjson",
		flags: func(cmd *cobra.Command) {
			flags := cmd.Flags()
			flags.StringVar(&in.BelongMerchantID, "belong-merchant", "", "the `merchant` whose vouchers they are")
			flags.StringVar(&in.SenderMerchantID, "sender-merchant", "", "the `merchant` who gave them out")
			flags.StringVar(&in.ActivityID, "activity", "", "only vouchers of this `activity_id`")
			flags.StringVar(&in.VoucherStatus, "status", "", "only SENDED (Alipay's spelling), USED or EXPIRED")
			flags.BoolVar(&openIDs, "open-id", false, "the arguments are open ids")
			flags.IntVar(&limit, "limit", 0, "only the first `N` of each user; 0 is all")
			completeFixed(cmd, "status", "SENDED", "USED", "EXPIRED")
		},
		ask: func(q querying, ctx context.Context, key string) ([]queryRow, error) {
			in := in
			in.MerchantAccessMode = q.mode
			if in.UserID = key; openIDs {
				in.UserID, in.OpenID = "", key
			}
			var rows []queryRow
			for v, err := range q.client.UserVouchers(ctx, in, q.over()) {
				if err != nil {
					return rows, err
				}
				rows = append(rows, userVoucherRow(v))
				if limit > 0 && len(rows) == limit {
					break
				}
			}
			if len(rows) == 0 {
				rows = append(rows, queryRow{Status: "NONE", Meaning: "the user has none of these", found: true})
			}
			return rows, nil
		},
	}
}

func asJSON(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		return nil // not reached: these are Alipay's own fields
	}
	return data
}
