// Generated from schemas/other.alipay_trade_order_settle_notify.v1.json by "npm run generate". Do not edit.

/**
 * The result of splitting a trade's money (交易分账结果通知)
 *
 * A request to split the money of a trade among receivers ended. Alipay's message alipay.trade.order.settle.notify, of which the known copy of the page is cut: three fields, shaped as in alipay.trade.order.settle.query. The data is what came, untyped: texts as Alipay sends them, times in Beijing time. Nothing is required, and fields that we do not know stay as they came. An event whose known fields hold anything but texts has no ce-dataschema.
 */
export interface OtherAlipayTradeOrderSettleNotify {
  /**
   * The merchant's number of the request. (PROTOCOL.md 2.5)
   */
  out_request_no?: string;
  /**
   * When it was executed, yyyy-MM-dd HH:mm:ss. (PROTOCOL.md 2.5)
   */
  operation_dt?: string;
  /**
   * The single splits; a list, or one as JSON in a string. The names inside are those of alipay.trade.order.settle.query and not listed here. (PROTOCOL.md 2.5)
   */
  royalty_detail_list?: unknown[] | string;
  [k: string]: unknown;
}
