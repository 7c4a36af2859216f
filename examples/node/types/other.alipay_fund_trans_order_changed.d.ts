// Generated from schemas/other.alipay_fund_trans_order_changed.v1.json by "npm run generate". Do not edit.

/**
 * The status of a fund order changed (资金单据状态变更)
 *
 * A transfer or red packet order came into a new status. No event id and no key are known: the notify_id and order_id tell repetitions. Alipay's message alipay.fund.trans.order.changed, known from two real bodies. The data is what came, untyped: texts as Alipay sends them, times in Beijing time. Nothing is required, and fields that we do not know stay as they came. An event whose known fields hold anything but texts has no ce-dataschema.
 */
export interface OtherAlipayFundTransOrderChanged {
  /**
   * When it was paid, yyyy-MM-dd HH:mm:ss. (PROTOCOL.md 2.5)
   */
  pay_date?: string;
  /**
   * The scene of the product. (PROTOCOL.md 2.5)
   */
  biz_scene?: string;
  /**
   * What happened to the order; FINISH is the only value known. (PROTOCOL.md 2.5)
   */
  action_type?: string;
  /**
   * Alipay's number of the payment's funds. (PROTOCOL.md 2.5)
   */
  pay_fund_order_id?: string;
  /**
   * The API by which the order was made. (PROTOCOL.md 2.5)
   */
  origin_interface?: string;
  /**
   * The merchant's number of the order: the request that caused it. (PROTOCOL.md 2.5)
   */
  out_biz_no?: string;
  /**
   * The amount, in yuan as a decimal string. (PROTOCOL.md 2.5)
   */
  trans_amount?: string;
  /**
   * The product. (PROTOCOL.md 2.5)
   */
  product_code?: string;
  /**
   * Alipay's number of the order. (PROTOCOL.md 2.5)
   */
  order_id?: string;
  /**
   * The new status. (PROTOCOL.md 2.5)
   */
  status?: string;
  [k: string]: unknown;
}
