// Generated from schemas/trade.status_changed.v1.json by "npm run generate". Do not edit.

/**
 * The status of a trade changed (支付结果异步通知, trade_status_sync)
 *
 * The classic notification to the notify_url of a pay request. It is a reason to query the trade (alipay.trade.query), not a proof of payment: signed values are not escaped, so a form that was split at an '&' in free text cannot be told from a genuine one. The documented fields differ by product; this is their union. Only the key is required: reading is lenient, and a field that did not convert is under _unparsed. Fields that we do not know stay as Alipay sent them.
 */
export interface TradeStatusChanged {
  /**
   * When the notification was sent; changes with each retry. Alipay sends Beijing time. (PROTOCOL.md 2.6)
   */
  notify_time?: string;
  /**
   * Alipay's name of the notification. (PROTOCOL.md 2.6)
   */
  notify_type?: string;
  /**
   * The notification's id, the same for every retry. (PROTOCOL.md 1.2)
   */
  notify_id?: string;
  /**
   * The receiver's app. (PROTOCOL.md 1.2)
   */
  app_id?: string;
  /**
   * The authorising app, for service providers (ISV). (PROTOCOL.md 1.2)
   */
  auth_app_id?: string;
  /**
   * The charset that was signed; data is UTF-8 whatever it says. (PROTOCOL.md 1.2)
   */
  charset?: string;
  /**
   * The version of the protocol. (PROTOCOL.md 1.2)
   */
  version?: string;
  /**
   * Alipay's number of the trade (支付宝交易号). (PROTOCOL.md 2.6)
   */
  trade_no?: string;
  /**
   * The merchant's number of the trade (商户订单号). The key. (PROTOCOL.md 2.6)
   */
  out_trade_no: string;
  /**
   * The merchant's number of the refund (商户业务号), where the notification is about one. (PROTOCOL.md 2.6)
   */
  out_biz_no?: string;
  /**
   * The merchant's number of the refund request (退款请求号). (PROTOCOL.md 2.6)
   */
  out_request_no?: string;
  /**
   * The buyer's Alipay id. (PROTOCOL.md 2.6)
   */
  buyer_id?: string;
  /**
   * The buyer's account, partly masked. (PROTOCOL.md 2.6)
   */
  buyer_logon_id?: string;
  /**
   * The buyer's id within the app. (PROTOCOL.md 2.6)
   */
  buyer_open_id?: string;
  /**
   * The seller's Alipay id. (PROTOCOL.md 2.6)
   */
  seller_id?: string;
  /**
   * The seller's account. (PROTOCOL.md 2.6)
   */
  seller_email?: string;
  /**
   * The trade's status (交易状态). The list is Alipay's, and may grow. (PROTOCOL.md 2.6)
   */
  trade_status?: string;
  /**
   * The sum of the order (订单金额), in yuan as a decimal string. (PROTOCOL.md 2.6)
   */
  total_amount?: string;
  /**
   * What the merchant receives (实收金额), in yuan as a decimal string. (PROTOCOL.md 2.6)
   */
  receipt_amount?: string;
  /**
   * What the buyer may be invoiced (开票金额), in yuan as a decimal string. (PROTOCOL.md 2.6)
   */
  invoice_amount?: string;
  /**
   * What the buyer paid (付款金额), in yuan as a decimal string. (PROTOCOL.md 2.6)
   */
  buyer_pay_amount?: string;
  /**
   * What was paid with 集分宝, in yuan as a decimal string. (PROTOCOL.md 2.6)
   */
  point_amount?: string;
  /**
   * All refunds so far (总退款金额), in yuan as a decimal string. (PROTOCOL.md 2.6)
   */
  refund_fee?: string;
  /**
   * What this refund gave back to the buyer (实际退款金额), in yuan as a decimal string. (PROTOCOL.md 2.6)
   */
  send_back_fee?: string;
  /**
   * The order's title (订单标题): free text of the merchant's. (PROTOCOL.md 2.6)
   */
  subject?: string;
  /**
   * The order's description (商品描述): free text of the merchant's. (PROTOCOL.md 2.6)
   */
  body?: string;
  /**
   * When the trade was created (交易创建时间). Alipay sends Beijing time. (PROTOCOL.md 2.6)
   */
  gmt_create?: string;
  /**
   * When the buyer paid (交易付款时间). Alipay sends Beijing time. (PROTOCOL.md 2.6)
   */
  gmt_payment?: string;
  /**
   * When it was refunded (交易退款时间). Alipay sends Beijing time with a fraction. (PROTOCOL.md 2.6)
   */
  gmt_refund?: string;
  /**
   * When the trade ended (交易结束时间). Alipay sends Beijing time. (PROTOCOL.md 2.6)
   */
  gmt_close?: string;
  /**
   * How it was paid (支付金额信息). Alipay sends JSON inside a string. (PROTOCOL.md 2.6)
   */
  fund_bill_list?:
    | unknown[]
    | {
        [k: string]: unknown;
      };
  /**
   * The vouchers that were used (优惠券信息); the names inside vary by product. Alipay sends JSON inside a string. (PROTOCOL.md 2.6)
   */
  voucher_detail_list?:
    | unknown[]
    | {
        [k: string]: unknown;
      };
  /**
   * What the merchant gave to the pay request (公用回传参数), still encoded as the merchant encoded it. (PROTOCOL.md 2.6)
   */
  passback_params?: string;
  /**
   * Alipay's number of the agreement to deduct (协议号). (PROTOCOL.md 2.6)
   */
  agreement_no?: string;
  /**
   * The merchant's number of the agreement. (PROTOCOL.md 2.6)
   */
  external_agreement_no?: string;
  /**
   * Status of a refund to a bank card (银行卡冲退状态). The values are not documented here. (PROTOCOL.md 2.6)
   */
  dback_status?: string;
  /**
   * Sum of a refund to a bank card, in yuan as a decimal string. (PROTOCOL.md 2.6)
   */
  dback_amount?: string;
  /**
   * When the bank acknowledged such a refund. Taken for Beijing time; no sample is known. (PROTOCOL.md 2.6)
   */
  bank_ack_time?: string;
  /**
   * Status of the refund. The values are not documented here. (PROTOCOL.md 2.6)
   */
  refund_status?: string;
  /**
   * Why it was refunded: free text of the merchant's. (PROTOCOL.md 2.6)
   */
  refund_reason?: string;
  /**
   * Sum of the refund, in yuan as a decimal string. (PROTOCOL.md 2.6)
   */
  refund_amount?: string;
  /**
   * Fields above whose value did not convert, under their names and exactly as Alipay sent them. Of a name that stood more than once, known or not, all values are here in a list: which was meant cannot be told. A member _unparsed of the payload itself goes in here, too. Missing when there is nothing of these.
   */
  _unparsed?: {
    [k: string]: unknown;
  };
  [k: string]: unknown;
}
