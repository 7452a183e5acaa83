"""The clinic.yaml that reads what the simulator writes."""

from __future__ import annotations

from typing import Final

CLINIC_YAML: Final = """\
# Northgate ENT: an artificial clinic with two branches in Zagreb, written by `python -m simulator`.
# Run it with:  firstvisit --config clinic.yaml --data-dir data run

clinic:
  name: Northgate ENT
  timezone: Europe/Zagreb
  currency: EUR
  phone_region: HR                # numbers without a country code are Croatian
  brand_terms: [northgate]        # campaigns and search terms that name the clinic
  own_numbers: ["+38515550100", "+38515550200"]
  vat_recoverable: false          # VAT is a cost: it is added to spend that is reported without it
  vat_rates: 0.25
  history_margin_days: 180

attribution: {lookback_days: 90, default_model: last_non_direct, half_life_days: 7}
calls: {unique_days: 30, target_min_seconds: 30}

sources:
  # Call tracking. Without a token, saved answers of the calls journal are read from its inbox.
  calltouch: {kind: calltouch}

  # Ad platforms. The interface's campaign report has no account: one source per account.
  google_ads: {kind: google_ads, account: main, currency: EUR}
  yandex_direct:
    kind: yandex_direct
    account: ngate-direct
    currency: RUB
    money: currency               # the request's returnMoneyInMicros was false
    include_vat: false            # and its IncludeVAT was NO
  meta:
    kind: mapped_file
    streams:
      ad_spend:
        columns:
          spend_date: Day
          source: Platform
          account: Account ID
          campaign_id: Campaign ID
          campaign_name: Campaign name
          campaign_type: Objective
          impressions: Impressions
          clicks: Link clicks
          cost_native: Amount spent (USD)
          currency: Currency

  # Everything that no ad platform reports: retainers, radio, billboard, events.
  marketing: {kind: cost_sheet}

  # Web analytics: the BigQuery export's daily tables.
  site: {kind: ga4, sessions_of_record: true}

  # Chats, forms, messages, online bookings and CRM leads of the web site; reviews.
  online:
    kind: mapped_file
    encoding: utf-8
    delimiter: ","
    datetime_format: "%Y-%m-%d %H:%M:%S"
    streams:
      contacts:
        columns:
          contact_id: id
          contact_kind: kind
          contacted_at: created
          phone: phone
          email: email
          visitor_id: ga_client_id
          user_ref: user
          appointment_ref: appointment
          contact_ref: call
          callback_ref: request
          utm_source: utm_source
          utm_medium: utm_medium
          utm_campaign: utm_campaign
          utm_term: utm_term
          campaign_id: utm_id
          click_id_type: click_type
          click_id: click_id
          landing_path: page
          is_dialog: dialog
          is_valid: valid
          is_contact_left: left_contact
          is_booked: booked
          is_missed: missed
          operator: agent
          branch: clinic
      reviews:
        columns:
          review_id: review
          reviewed_at: written
          rating: stars
          doctor: doctor
          branch: branch
          platform: site

  # What operators are paid, from the accountant.
  payroll:
    kind: mapped_file
    streams:
      metric_observations:
        columns: {observed_on: day, metric: what, scope: about, scope_value: name, value: amount}

  # What marketing counts by hand: followers, answers to surveys, people reached by events.
  surveys:
    kind: mapped_file
    streams:
      metric_observations:
        columns: {observed_on: date, metric: what, scope: of, scope_value: which, value: figure}

  # The clinic's own system: lists in Windows-1251 with semicolons and decimal commas.
  mis:
    kind: mapped_file
    encoding: cp1251
    delimiter: ";"
    decimal: ","
    datetime_format: "%d.%m.%Y %H:%M"
    date_format: "%d.%m.%Y"
    timezone: Europe/Zagreb
    streams:
      # One row per service of a visit; it carries the patient, the appointment and the payment too.
      visits:
        columns:
          visit_id: "№ приема"
          appointment_id: "№ записи"
          patient_id: "№ карты"
          phone: Телефон
          email: E-mail
          birth_date: Дата рождения
          sex: Пол
          registered_at: Дата регистрации
          self_reported_source: Откуда узнали
          booked_at: Записан
          scheduled_at: Назначено
          visited_at: Дата приема
          branch: Филиал
          room: Кабинет
          doctor: Врач
          diagnosis: Диагноз
          clinic_says_primary: Первичный
          status: Статус
          line_id: "№ строки"
          service: Услуга
          amount: Сумма
          paid: Оплачено
          refund: Возврат
          paid_at: Дата оплаты
          payer_type: Плательщик
          contact_ref: Заявка
          visitor_id: ClientID
          user_ref: UserID
          minutes: Минут
        values:
          status: &statuses
            Выполнен: completed
            Неявка: no_show
            Отменен пациентом: cancelled_by_patient
            Отменен клиникой: cancelled_by_clinic
            Перенесен: rescheduled
            Записан: booked
            Подтвержден: confirmed
          payer_type: &payers
            Наличные: cash
            Карта: card
            Перевод: transfer
            ДМС: insurer
            Госстрах: state
            Работодатель: employer
            Бонусы: loyalty
            Депозит: deposit
          clinic_says_primary: {Да: "true", Нет: "false"}
        prefixes: {visitor_id: "ga:"}
        where: {Тип: Прием}
      # Appointments that lie ahead.
      appointments:
        columns:
          appointment_id: "№ записи"
          patient_id: "№ карты"
          booked_at: Записан
          scheduled_at: Назначено
          branch: Филиал
          doctor: Врач
          service: Услуга
          minutes: Минут
          status: Статус
          contact_ref: Заявка
        values:
          status: *statuses
      # The patient index.
      patients:
        columns:
          patient_id: "№ карты"
          phone: Телефон
          email: E-mail
          birth_date: Дата рождения
          sex: Пол
          registered_at: Дата регистрации
          self_reported_source: Откуда узнали
      # The cash book: prepayments, insurers' transfers and later refunds (negative amounts).
      payments:
        columns:
          payment_id: "№ платежа"
          visit_id: "№ приема"
          patient_id: "№ карты"
          paid_at: Дата оплаты
          amount: Сумма
          payer_type: Плательщик
        values:
          payer_type: *payers
"""
