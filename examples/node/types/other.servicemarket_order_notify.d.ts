// Generated from schemas/other.servicemarket_order_notify.v1.json by "npm run generate". Do not edit.

/**
 * An order of the service market changed (服务市场订单状态变更消息通知)
 *
 * An order of a service in Alipay's service market, alipay.open.servicemarket.order.notify by its API name. It names people and their telephone numbers. Alipay's notification servicemarket_order_notify, known from real bodies that differ in the optional fields. The data is the form's fields but sign and sign_type, as texts, times in Beijing time; a field without a value is left out. Nothing is required, and fields that we do not know stay as they came.
 */
export interface OtherServicemarketOrderNotify {
  /**
   * The receiver's app.
   */
  app_id?: string;
  /**
   * The charset that was signed; the data is UTF-8.
   */
  charset?: string;
  /**
   * Version of the protocol.
   */
  version?: string;
  /**
   * The notification's id, which is the event's ce-id, too.
   */
  notify_id?: string;
  /**
   * servicemarket_order_notify always.
   */
  notify_type?: string;
  /**
   * When it was sent, yyyy-MM-dd HH:mm:ss.
   */
  notify_time?: string;
  /**
   * When it was sent, once more. (PROTOCOL.md 2.5)
   */
  timestamp?: string;
  /**
   * The API name, beside notify_type. (PROTOCOL.md 2.5)
   */
  method?: string;
  /**
   * Alipay's number of the order. (PROTOCOL.md 2.5)
   */
  commodity_order_id?: string;
  /**
   * The ordering merchant's Alipay id. (PROTOCOL.md 2.5)
   */
  merchant_pid?: string;
  /**
   * Name of who ordered: personal data. (PROTOCOL.md 2.5)
   */
  name?: string;
  /**
   * Name of the contact: personal data. (PROTOCOL.md 2.5)
   */
  contactor?: string;
  /**
   * Telephone number of the contact: personal data. (PROTOCOL.md 2.5)
   */
  phone?: string;
  /**
   * The ordered service. (PROTOCOL.md 2.5)
   */
  title?: string;
  /**
   * How many. (PROTOCOL.md 2.5)
   */
  order_item_num?: string;
  /**
   * When it was ordered, yyyy-MM-dd HH:mm:ss. (PROTOCOL.md 2.5)
   */
  order_time?: string;
  /**
   * The price, in yuan as a decimal string. (PROTOCOL.md 2.5)
   */
  total_price?: string;
  /**
   * Meaning not known; not in every body. (PROTOCOL.md 2.5)
   */
  order_ticket?: string;
  /**
   * Meaning not known; came without a value. (PROTOCOL.md 2.5)
   */
  isv_ticket?: string;
  /**
   * The service's number; not in every body. (PROTOCOL.md 2.5)
   */
  service_code?: string;
  [k: string]: unknown;
}
