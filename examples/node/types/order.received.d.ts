// Generated from schemas/order.received.v1.json by "npm run generate". Do not edit.

/**
 * The voucher of an exchange order was delivered (商家兑换券, ordermessage.received)
 *
 * The voucher of a 商家兑换券 order was sent to the buyer. Alipay's message alipay.marketing.activity.ordermessage.received, known from a sample alone. Only the key is required: reading is lenient, and a field that did not convert is under _unparsed. Fields that we do not know stay as Alipay sent them.
 */
export interface OrderReceived {
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
   * Whether the voucher was sent. The values are not documented. (PROTOCOL.md 2.3)
   */
  send_status?: string;
  /**
   * Fields above whose value did not convert, under their names and exactly as Alipay sent them. Of a name that stood more than once, known or not, all values are here in a list: which was meant cannot be told. A member _unparsed of the payload itself goes in here, too. Missing when there is nothing of these.
   */
  _unparsed?: {
    [k: string]: unknown;
  };
  [k: string]: unknown;
}
