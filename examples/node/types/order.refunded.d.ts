// Generated from schemas/order.refunded.v1.json by "npm run generate". Do not edit.

/**
 * An exchange order was refunded (商家兑换券, ordermessage.refunded)
 *
 * A 商家兑换券 order was refunded: the user asked for it, or Alipay could not deliver the voucher. Alipay's message alipay.marketing.activity.ordermessage.refunded, known from a sample and one real body. Only the key is required: reading is lenient, and a field that did not convert is under _unparsed. Fields that we do not know stay as Alipay sent them.
 */
export interface OrderRefunded {
  /**
   * Alipay's event id, for de-duplication by business. (PROTOCOL.md 2.3)
   */
  id?: string;
  /**
   * Alipay's number of the marketing order (营销订单号). The key. (PROTOCOL.md 2.3)
   */
  order_no: string;
  /**
   * The merchant's number of the order (商户订单号). (PROTOCOL.md 2.3)
   */
  out_order_no?: string;
  /**
   * When it happened (精确到毫秒); orders the events of one key, which come in no order. Alipay sends 10 or 13 digits, as string or number. (PROTOCOL.md 2.3)
   */
  event_time?: string;
  /**
   * Who caused the refund. More values may exist. (PROTOCOL.md 2.3)
   */
  refund_type?: string;
  /**
   * Whether the refund was made. The values are not documented. (PROTOCOL.md 2.3)
   */
  refund_status?: string;
  /**
   * The out_biz_no (外部业务单号) of the refund request; with USER_REFUND only. (PROTOCOL.md 2.3)
   */
  out_biz_no?: string;
  /**
   * Fields above whose value did not convert, under their names and exactly as Alipay sent them. Of a name that stood more than once, known or not, all values are here in a list: which was meant cannot be told. A member _unparsed of the payload itself goes in here, too. Missing when there is nothing of these.
   */
  _unparsed?: {
    [k: string]: unknown;
  };
  [k: string]: unknown;
}
